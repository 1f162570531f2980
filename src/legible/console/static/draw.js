// Reads a reply of any dialect into one form, and draws it on the picture.

import { element } from "./app.js";

const SVG = "http://www.w3.org/2000/svg";

// { refused } or { text, confidence, characters, expression, box, pieceX, candidates, confidences, objects, point, origin }
export function readReply(dialect, reply) {
  if (dialect === "captchaapi") {
    const data = reply.data ?? {};
    const reference = data.log_id;
    if (reply.code !== 200) return { reference, refused: [reply.msg, data.detail].filter(Boolean).join(" · ") };
    return {
      reference, text: data.result, confidence: data.confidence, characters: data.characters, expression: data.expression,
      box: data.box, pieceX: data.piece_x, candidates: data.candidates,
    };
  }
  if (dialect === "createtask") return fromCreateTask(reply);
  const reference = reply.trace_id;
  if (dialect === "v1") return reply.answer ? { reference, ...fromTasks(reply.answer) } : { reference, refused: `${reply.code}: ${reply.detail}` };
  if (reply.error || reply.success === false) return { reference, refused: `${reply.error?.code}: ${reply.error?.message}` };
  const solution = reply.solution ?? {};
  return {
    reference, text: reply.text ?? solution.text, characters: reply.characters, confidence: reply.confidence,
    confidences: solution.confidences, objects: solution.objects, origin: solution.origin, point: solution.point,
    corner: solution.box, size: solution.size,
  };
}

function fromCreateTask({ errorId, errorCode, errorDescription, solution }) {
  if (errorId) return { refused: `${errorCode}: ${errorDescription}` };
  const { imageSize, box, distance } = solution;
  const answer = { ...solution, text: solution.text ?? (distance === undefined ? undefined : String(distance)) };
  // With a picture's size, a box is a point to click; else it is the gap, and the piece starts where the way does.
  if (imageSize) return { ...answer, point: { x: box[0], y: box[1] }, corner: box, origin: "top-left" };
  return distance === undefined ? answer : { ...answer, pieceX: box[0] - distance || null };
}

// Our own answers have the fields of `tasks.py`.
export function fromTasks(answer) {
  const [x, y] = answer.point ?? [];
  const text = answer.text ?? (answer.box ? String(answer.box[0]) : undefined);
  return { ...answer, text, pieceX: answer.piece_x, point: answer.point && { x, y } };
}

// The places of what was found: grids tell them, and of several pictures each says yes or no.
function hits(objects) {
  return objects.flatMap((found, place) => (typeof found === "number" ? [found] : found ? [place] : []));
}

// The answer in a line.
export function spoken(answer, words) {
  if (answer.text != null) return answer.expression ? `${answer.expression} = ${answer.text}` : answer.text;
  if (answer.point) return `${answer.point.x}, ${answer.point.y}`;
  if (answer.objects) return `${words.tiles}: ${hits(answer.objects).join(", ") || words.none}`;
  return "";
}

export function characters(answer) {
  return (answer.characters ?? []).map(({ text, confidence }) =>
    element(
      "span", { class: "character" }, element("b", {}, text),
      element("meter", { min: 0, max: 1, low: 0.5, high: 0.85, optimum: 1, value: confidence, "aria-label": text }),
      element("small", {}, `${(100 * confidence).toFixed(confidence > 0.9995 ? 0 : 1)}%`),
    ),
  );
}

// One picture, or several side by side, with what the answer says of them.
export function picture(images, kind, answer, words) {
  const side = Math.ceil(Math.sqrt(images.length));
  const rows = Math.ceil(images.length / side);
  const [cellWidth, cellHeight] = [Math.max(...images.map((each) => each.width)), Math.max(...images.map((each) => each.height))];
  const [width, height] = [side * cellWidth, rows * cellHeight];
  const name = images.map((each) => each.name).join(", ");
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": answer ? spoken(answer, words) : name });
  // A picture of 100 pixels may be shown at three times its size, a larger one as it is.
  svg.style.maxWidth = `${Math.max(width, Math.min(3 * width, 420))}px`;
  images.forEach((each, place) => {
    const [x, y] = [(place % side) * cellWidth, Math.floor(place / side) * cellHeight];
    svg.append(shape("image", { href: each.url, x, y, width: each.width, height: each.height }));
  });
  const several = (told, size) => drawCells(told, size, side, rows);
  const draw = images.length > 1 ? several : { slider: drawSlider, grid: drawGrid, click: drawClick }[kind];
  if (answer && !answer.refused && draw) svg.append(...draw(answer, { width, height }, words).filter(Boolean));
  return svg;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text != null) made.textContent = text;
  return made;
}

function label(x, y, text, size, anchor = "start") {
  return shape("text", { x, y, class: "mark-label", "font-size": size, "text-anchor": anchor }, text);
}

function drawSlider({ box, text, pieceX, candidates = [] }, { width, height }, words) {
  const [x, y, w, h] = box ?? [Number(text), 0, 0, height];
  const size = Math.max(9, height / 13);
  const others = (candidates ?? []).filter((candidate) => candidate.x !== x);
  return [
    ...others.map((other) => shape("line", { class: "mark faint", x1: other.x, x2: other.x, y1: 0, y2: height })),
    shape("rect", { class: "mark shade", x, y, width: w, height: h }),
    shape("line", { class: "mark", x1: x, x2: x, y1: 0, y2: height }),
    label(Math.min(x + 4, width - 8 * size * 0.6), size * 1.2, `${words.gap} x=${x}`, size),
    pieceX == null ? null : shape("line", { class: "mark faint", x1: pieceX, x2: pieceX, y1: 0, y2: height }),
    pieceX == null ? null : label(pieceX + 4, height - size * 0.5, `${words.piece} x=${pieceX}`, size),
  ];
}

function drawGrid(answer, size) {
  const side = Math.round(Math.sqrt(answer.confidences.length));
  return drawCells(answer, size, side, side);
}

function drawCells({ confidences, objects }, { width, height }, columns, rows) {
  const [w, h] = [width / columns, height / rows];
  const found = hits(objects);
  return confidences.flatMap((confidence, index) => {
    const [x, y] = [(index % columns) * w, Math.floor(index / columns) * h];
    const hit = found.includes(index);
    const inset = hit ? 2 : 0;
    return [
      shape("rect", { class: hit ? "cell hit" : "cell", x: x + inset, y: y + inset, width: w - 2 * inset, height: h - 2 * inset }),
      label(x + w * 0.06, y + h * 0.22, String(index), h * 0.18),
      label(x + w * 0.94, y + h * 0.94, `${Math.round(100 * confidence)}%`, h * 0.14, "end"),
    ];
  });
}

function drawClick({ point, origin, corner }, { width, height }, words) {
  if (!point) return [];
  const size = Math.max(10, height / 22);
  const radius = Math.max(8, height / 24);
  const bottom = origin === "bottom-left";
  return [
    shape("line", { class: "mark faint", x1: 0, x2: width, y1: point.y, y2: point.y }),
    shape("line", { class: "mark faint", x1: point.x, x2: point.x, y1: 0, y2: height }),
    shape("circle", { class: "mark shade", cx: point.x, cy: point.y, r: radius }),
    label(Math.min(point.x + radius, width * 0.7), Math.max(size, point.y - radius), `${words.point} ${corner?.join(", ") ?? ""}`, size),
    shape("circle", { class: "mark shade", cx: 0, cy: bottom ? height : 0, r: radius / 2 }),
    label(radius, bottom ? height - radius : size + radius / 2, `${words.origin} 0, 0`, size),
  ];
}
