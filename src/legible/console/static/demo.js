// The landing page's examples: asks the server to read one of its own samples, and draws what it says.

import { characters, fromTasks, picture, spoken } from "./draw.js";

const at = (id) => document.getElementById(id);
const words = JSON.parse(at("demo-words")?.textContent ?? "{}");

async function read(button) {
  for (const other of at("samples").children) other.setAttribute("aria-pressed", String(other === button));
  const [file, kind] = [button.dataset.file, button.dataset.kind];
  const sample = button.querySelector("img");
  const image = { name: sample.alt, url: sample.src, width: sample.naturalWidth, height: sample.naturalHeight };
  at("stage").replaceChildren(picture([image], kind, null, words));
  for (const old of ["outcome", "characters", "took"]) at(old).replaceChildren();
  at("result").hidden = false;
  try {
    const response = await fetch(`/demo/${file}.json`);
    if (!response.ok) {
      at("took").textContent = response.status === 429 ? words.often : words.broken;
      return;
    }
    const { answer, refused, cause, milliseconds } = await response.json();
    const known = refused ? { refused: cause } : fromTasks(answer);
    at("stage").replaceChildren(picture([image], kind, known, words));
    at("outcome").textContent = refused ? "" : spoken(known, words);
    at("characters").replaceChildren(...(refused ? [] : characters(known)));
    at("took").textContent = refused ? cause : words.took.replace("{ms}", milliseconds);
  } catch {
    at("took").textContent = words.offline;
  }
}

at("samples")?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-file]");
  if (button) read(button);
});
