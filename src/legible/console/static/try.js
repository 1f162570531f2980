// Try it: the real call, made by the page as a program would make it; its answer drawn; the code for it in seven languages.

import { csrf, element, forgetKey, knownKeys, money, rememberKey } from "./app.js";
import { characters, picture, readReply, spoken } from "./draw.js";
import { LANGUAGES, Picture, request, shots } from "./snippets.js";

const data = JSON.parse(document.getElementById("try-data").textContent);
const { words } = data;
const at = (id) => document.getElementById(id);
const state = { kind: null, operation: null, images: [], sample: null, files: {}, filled: {}, language: "curl", choice: 0 };

// Pictures

function readAsBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function measure(file) {
  const url = URL.createObjectURL(file);
  const probe = new Image();
  probe.src = url;
  await probe.decode();
  return { name: file.name, url, base64: await readAsBase64(file), width: probe.naturalWidth, height: probe.naturalHeight };
}

// Whether somebody has chosen something else since: what was chosen last wins, however long each takes to load.
function choosing() {
  const choice = ++state.choice;
  return () => choice !== state.choice;
}

function pressSample(sample) {
  for (const button of at("samples").children) button.setAttribute("aria-pressed", String(button.dataset.file === sample?.file));
}

async function chooseFiles(files) {
  if (at("run").disabled) return;
  if (!(await choose(files, choosing()))) return;
  pressSample(null);
  if (!state.sample) return;
  state.sample = null;
  fillIn();
  dropUnseenFiles();
}

// Whether the operation asks its question of each of several pictures.
const takesSeveral = () => JSON.stringify(state.operation.body).includes('"@images"');

// Whether the pictures were taken; where one is asked for, the first of them is.
async function choose(files, isOver) {
  const chosen = takesSeveral() ? files : files.slice(0, 1);
  const tooLarge = chosen.some(({ size }) => size > data.maxImageBytes);
  const images = tooLarge ? null : await Promise.all(chosen.map(measure)).catch(() => null);
  if (isOver()) return false;
  if (!images) {
    say(tooLarge ? words.too_large : words.not_image);
    return false;
  }
  for (const { url } of state.images) URL.revokeObjectURL(url);
  state.images = images;
  say("");
  const [{ name, width, height }] = images;
  const kibibytes = chosen.reduce((sum, { size }) => sum + size, 0) / 1024;
  at("picked").textContent = `${name}${images.length > 1 ? ` + ${images.length - 1}` : ""} · ${width} × ${height} px · ${kibibytes.toFixed(1)} KiB`;
  at("picked").translate = false;
  at("base64").value = images.map(({ base64 }) => base64).join("\n");
  showCode();
  clearAnswer();
  return true;
}

const load = async (name) => new File([await (await fetch(`/static/samples/${name}`)).blob()], name);

async function chooseSample(sample) {
  const isOver = choosing();
  pressSample(sample);
  const names = Object.keys(sample.files);
  const [picture, ...others] = await Promise.all([sample.file, ...Object.values(sample.files)].map(load));
  const read = await Promise.all(others.map(readAsBase64));
  if (!(await choose([picture], isOver))) return;
  state.sample = sample;
  state.files = Object.fromEntries(names.map((name, index) => [name, read[index]]));
  fillIn();
}

// The sample's options into their fields; its files take the place of the user's own.
function fillIn() {
  for (const input of document.querySelectorAll("[data-option]")) {
    const value = input.type === "file" ? "" : state.sample?.values[input.dataset.option];
    if (state.sample && value != null) input.value = value;
  }
  for (const told of document.querySelectorAll("[data-file-of]")) told.textContent = state.sample?.files[told.dataset.fileOf] ?? "";
  showCode();
}

// What is sent is what the form shows: the piece of a sample does not belong to another picture.
function dropUnseenFiles() {
  const isSeen = (name) => at(`option-${name}`)?.files.length || document.querySelector(`[data-file-of="${name}"]`)?.textContent;
  state.files = Object.fromEntries(Object.entries(state.files).filter(([name]) => isSeen(name)));
  showCode();
}

function clearAnswer() {
  at("result").hidden = true;
  if (state.images.length) at("stage").replaceChildren(picture(state.images, state.kind.kind, null, words));
  else at("stage").replaceChildren(element("p", { class: "muted" }, words.no_image));
}

function say(sentence) {
  at("state").textContent = sentence;
}

// The form

function showKind(kind, { keepImage = false } = {}) {
  state.kind = data.kinds.find((page) => page.kind === kind);
  for (const button of at("kinds").children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  for (const about of document.querySelectorAll("[data-about]")) about.hidden = about.dataset.about !== kind;
  at("samples").replaceChildren(...state.kind.samples.map(sampleButton));
  at("dialect").replaceChildren(...state.kind.operations.map(({ dialect }) => new Option(data.dialects[dialect], dialect)));
  if (state.kind.operations.some(({ dialect }) => dialect === data.dialect)) at("dialect").value = data.dialect;
  [state.sample, state.files, state.filled] = [null, {}, {}];
  showOperation();
  if (keepImage) return;
  choosing();
  state.images = [];
  at("base64").value = "";
  at("picked").textContent = words.stays;
  at("picked").translate = true;
  clearAnswer();
  if (state.kind.samples.length) chooseSample(state.kind.samples[0]);
}

function sampleButton(sample) {
  const button = element("button", { type: "button", class: "sample", "aria-pressed": "false", "data-file": sample.file, "data-truth": sample.truth });
  button.append(element("img", { src: `/static/samples/${sample.file}`, alt: `${sample.truth}`, loading: "lazy" }));
  button.addEventListener("click", () => chooseSample(sample));
  return button;
}

function showOperation() {
  state.operation = state.kind.operations.find(({ dialect }) => dialect === at("dialect").value);
  const needed = state.operation.options.filter((option) => option.is_required);
  const others = state.operation.options.filter((option) => !option.is_required);
  at("needed").replaceChildren(...needed.map(optionField));
  at("needed").hidden = needed.length === 0;
  at("options").replaceChildren(...others.map(optionField));
  at("more-options").hidden = others.length === 0;
  at("file").multiple = takesSeveral();
  at("several").hidden = !takesSeveral();
  fillIn();
}

// Another dialect's form, with what was filled in where it has the same field; options, with what they had when it
// was last looked at, too.
function changeDialect() {
  const before = {};
  for (const old of document.querySelectorAll("[data-option], [data-file-of]")) before[nameOf(old)] = old;
  Object.assign(state.filled, before);
  showOperation();
  for (const input of document.querySelectorAll("[data-option], [data-file-of]")) {
    const isFile = input.type === "file" || input.dataset.fileOf;
    const old = (isFile ? before : state.filled)[nameOf(input)];
    if (!old) continue;
    if (input.dataset.fileOf) input.textContent = old.textContent;
    else if (old.type === "file") input.files = old.files;
    else input.value = old.value;
  }
  dropUnseenFiles();
}

function nameOf({ dataset }) {
  return dataset.option ? `option ${dataset.option}` : `file of ${dataset.fileOf}`;
}

function optionField(option) {
  const id = `option-${option.field}`;
  const input = {
    choice: () => element("select", { id }, element("option", { value: "" }, "–"), ...option.choices.map((choice) => element("option", { translate: "no" }, choice))),
    image: () => element("input", { id, type: "file", accept: "image/*" }),
    number: () => element("input", { id, inputmode: "decimal", autocomplete: "off" }),
    text: () => element("input", { id, autocomplete: "off" }),
  }[option.type]();
  input.dataset.option = option.field;
  input.addEventListener("input", async () => {
    if (option.type === "image") {
      field.querySelector("[data-file-of]").textContent = "";
      state.files[option.field] = input.files[0] && (await readAsBase64(input.files[0]));
    }
    showCode();
  });
  const { label, hint } = option;
  const field = element("div", { class: "field" }, element("label", { for: id }, label), input);
  if (option.type === "image") field.append(element("p", { class: "small mono", "data-file-of": option.field, translate: "no" }));
  if (hint) field.append(element("p", { class: "hint", id: `${id}-hint` }, hint));
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return field;
}

// What the user filled in, by field of the body; pictures as `Picture`s, since the code reads them from files.
function options() {
  const chosen = {};
  for (const option of state.operation.options) {
    const { value } = document.querySelector(`[data-option="${option.field}"]`);
    if (option.type === "image") {
      if (state.files[option.field]) chosen[option.field] = new Picture(option.field, `${option.field}.png`);
    } else if (value.trim() !== "") {
      chosen[option.field] = option.type === "number" && !Number.isNaN(Number(value)) ? Number(value) : value.trim();
    }
  }
  return chosen;
}

// The call

function showCode() {
  const [, write] = LANGUAGES[state.language];
  at("snippet").textContent = write(request(data.base, state.operation, "YOUR_API_KEY", options(), state.images.length || 1));
}

async function useKey() {
  const chosen = at("key").value;
  const pasted = at("pasted").value.trim();
  if (chosen === "paste") return /^[!-~]+$/.test(pasted) && pasted; // a header takes nothing else
  if (chosen !== "trial") return knownKeys().find(({ key }) => key === chosen)?.key;
  const response = await fetch("/console/keys/trial", {
    method: "POST", headers: { "x-csrf-token": csrf(), "content-type": "application/x-www-form-urlencoded" }, body: "",
  });
  if (response.redirected) location.assign("/login?next=/console/try"); // the session is over
  if (!response.ok || response.redirected) throw new Error(words.reload);
  const { name, key } = await response.json();
  rememberKey(name, key);
  showKeys(key);
  return key;
}

function showKeys(chosen) {
  const select = at("key");
  for (const option of select.querySelectorAll("[data-known]")) option.remove();
  select.prepend(...knownKeys().map(({ name, key }) => element("option", { value: key, "data-known": true, translate: "no" }, name)));
  select.value = chosen ?? knownKeys()[0]?.key ?? "trial";
  at("paste-field").hidden = select.value !== "paste";
}

function isBusy(yes) {
  at("run").disabled = yes;
  for (const id of ["kinds", "samples", "drop", "dialect", "needed", "more-options"]) at(id).inert = yes;
}

async function run() {
  if (!state.images.length) return say(words.no_image);
  // What is shown must be what was asked: until it is answered, nothing else can be chosen.
  isBusy(true);
  at("result").hidden = true;
  say(words.running);
  try {
    const key = await useKey();
    if (!key) return say(words.no_key);
    await call(key);
    say("");
  } catch (error) {
    say(error.message === words.reload ? words.reload : words.offline);
  } finally {
    isBusy(false);
  }
}

async function call(key) {
  const { url, headers, body } = request(data.base, state.operation, key, options(), state.images.length);
  const sources = { ...state.files };
  shots(state.images.length).forEach(({ name }, place) => (sources[name] = state.images[place].base64));
  const json = JSON.stringify(body, (_, value) => (value instanceof Picture ? sources[value.name] : value));
  const started = performance.now();
  const response = await fetch(new URL(url).pathname, { method: "POST", headers, body: json, credentials: "omit" });
  const reply = await response.json();
  const milliseconds = performance.now() - started;
  // createTask says it in the body; its other refusals of a key leave the key as it is.
  const isGone = response.status === 401 || reply.code === 401 || reply.errorCode === "ERROR_KEY_DOES_NOT_EXIST";
  if (isGone && knownKeys().some((known) => known.key === key)) {
    forgetKey(key); // expired or revoked
    showKeys();
  }
  const answer = readReply(state.operation.dialect, reply);
  answer.reference ??= response.headers.get("x-trace-id");
  await showAnswer(answer, reply, response.status, milliseconds);
}

async function showAnswer(answer, reply, status, milliseconds) {
  at("stage").replaceChildren(picture(state.images, state.kind.kind, answer, words));
  at("result").hidden = false;
  at("outcome").textContent = answer.refused ?? spoken(answer, words);
  at("outcome").classList.toggle("bad", Boolean(answer.refused));
  at("outcome").dataset.status = String(status);
  at("why").hidden = true;
  at("result").scrollIntoView({ block: "nearest" });
  at("characters").replaceChildren(...(answer.refused ? [] : characters(answer)));
  at("raw").textContent = JSON.stringify(reply, null, 2);
  const facts = [["HTTP", String(status)], [words.milliseconds, `${milliseconds.toFixed(0)} ms`]];
  at("facts").replaceChildren(...facts.flatMap(fact));
  if (!answer.reference) return;
  // The log knows what it cost, whatever the dialect told.
  const response = await fetch(`/console/calls/${encodeURIComponent(answer.reference)}.json`).catch(() => null);
  if (!response?.ok || response.redirected) return;
  const row = await response.json();
  facts.push([words.server, `${row.duration_ms} ms`], [words.cost, money(row.cost_micros)], [words.balance, money(row.balance_now_micros)]);
  if (row.confidence != null) facts.unshift([words.confidence, `${(100 * row.confidence).toFixed(1)}%`]);
  const link = element("a", { href: `/console/calls/${row.log_id}` }, words.log);
  // Not every dialect tells the characters one by one; the log does.
  if (!answer.refused) at("characters").replaceChildren(...characters(row.detail ?? answer));
  at("facts").replaceChildren(...facts.flatMap(fact), element("dt", { translate: "no" }, row.log_id), element("dd", {}, link));
  at("facts").dataset.cost = String(row.cost_micros);
  at("balance").textContent = money(row.balance_now_micros);
  at("why").hidden = !row.fix;
  at("why").textContent = row.fix ? `${row.cause} ${row.fix}` : "";
}

function fact([name, value]) {
  return [element("dt", {}, name), element("dd", {}, value)];
}

// Wiring

for (const [name, [title]] of Object.entries(LANGUAGES)) {
  const tab = element("button", { type: "button", role: "tab", id: `language-${name}`, "aria-controls": "snippet-panel", "aria-selected": String(name === state.language), tabindex: name === state.language ? 0 : -1 }, title);
  tab.addEventListener("click", () => selectLanguage(name));
  at("languages").append(tab);
}

function selectLanguage(name) {
  state.language = name;
  for (const tab of at("languages").children) {
    const chosen = tab.id === `language-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  showCode();
}

at("languages").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = Object.keys(LANGUAGES);
  const name = names[(names.indexOf(state.language) + step + names.length) % names.length];
  selectLanguage(name);
  at(`language-${name}`).focus();
});

at("kinds").addEventListener("click", (event) => event.target.dataset.kind && showKind(event.target.dataset.kind));
at("dialect").addEventListener("change", changeDialect);
at("key").addEventListener("change", () => (at("paste-field").hidden = at("key").value !== "paste"));
at("run").addEventListener("click", run);
at("file").addEventListener("change", ({ target }) => {
  if (target.files.length) chooseFiles([...target.files]);
  target.value = ""; // so that the same file can be chosen again
});
for (const type of ["dragover", "dragleave", "drop"]) {
  at("drop").addEventListener(type, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", type === "dragover");
    const files = type === "drop" ? [...event.dataTransfer.files] : [];
    if (files.length) chooseFiles(files);
  });
}
document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files].filter(({ type }) => type.startsWith("image/"));
  if (files.length) chooseFiles(files);
});

// The pictures of a call in the log, and its question; more of it is not kept.
async function takeUp(call) {
  const address = `/console/calls/${encodeURIComponent(call)}`;
  const files = [];
  for (let place = 0; place < (takesSeveral() ? data.maxImages : 1); place++) {
    const response = await fetch(`${address}/images/${place}`);
    if (!response.ok) break;
    files.push(new File([await response.blob()], call));
  }
  if (!files.length) return;
  await chooseFiles(files);
  const row = await fetch(`${address}.json`);
  const question = at("option-question");
  if (row.ok && question) question.value = (await row.json()).detail?.label ?? "";
  if (state.operation.options.some(({ type }) => type === "image")) say(words.piece_again);
  showCode();
}

showKeys();
showKind(data.kind, { keepImage: Boolean(data.call) });
if (data.call) await takeUp(data.call);
