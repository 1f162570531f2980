// What every page can use: copying, asking before something is deleted, the menu on small screens, downloads with progress.

const KEYS = "legible-keys";

export function knownKeys() {
  try {
    return JSON.parse(sessionStorage.getItem(KEYS)) ?? [];
  } catch {
    return [];
  }
}

export function rememberKey(name, key) {
  // Only for this tab: a key in localStorage would outlive the log-out.
  const others = knownKeys().filter((known) => known.key !== key);
  sessionStorage.setItem(KEYS, JSON.stringify([{ name, key }, ...others].slice(0, 10)));
}

export function forgetKey(key) {
  sessionStorage.setItem(KEYS, JSON.stringify(knownKeys().filter((known) => known.key !== key)));
}

export function csrf() {
  return document.querySelector('input[name="csrf"]')?.value ?? "";
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function money(micros) {
  const [whole, rest] = [Math.trunc(Math.abs(micros) / 1e6), Math.abs(micros) % 1e6];
  const decimals = String(rest).padStart(6, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${micros < 0 ? "−" : ""}¥${whole.toLocaleString("en")}.${decimals}`;
}

async function copy(button) {
  const source = document.querySelector(button.dataset.copy);
  const text = "value" in source ? source.value : source.textContent;
  let isCopied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP browsers offer no clipboard: select it, and the old command copies.
    const area = element("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    isCopied = document.execCommand("copy");
    area.remove();
  }
  const said = document.getElementById("said");
  said.textContent = isCopied ? said.dataset.copied : said.dataset.notCopied;
  setTimeout(() => (said.textContent = ""), isCopied ? 1500 : 6000);
  if (!isCopied) return;
  button.querySelector(".icon")?.classList.add("good");
  setTimeout(() => button.querySelector(".icon")?.classList.remove("good"), 1500);
}

async function download(link) {
  const state = document.querySelector("#download-state");
  const bar = state.querySelector("progress");
  state.hidden = false;
  bar.removeAttribute("value");
  const response = await fetch(link.href);
  // Redirected: to the log-in, when the session is over.
  if (!response.ok || response.redirected) {
    location.href = link.href;
    return;
  }
  const total = Math.max(1, Number(response.headers.get("x-total-rows")));
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "legible";
  const parts = [];
  let rows = 0;
  for (let reader = response.body.getReader(), step; !(step = await reader.read()).done; ) {
    parts.push(step.value);
    for (const byte of step.value) rows += byte === 10;
    bar.value = Math.min(1, rows / total);
  }
  const url = URL.createObjectURL(new Blob(parts, { type: response.headers.get("content-type") }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  state.hidden = true;
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-copy], [data-toggle], [data-download]");
  if (!target) return;
  if (target.dataset.copy) copy(target);
  if (target.dataset.toggle) {
    event.preventDefault();
    const isOpen = document.getElementById(target.dataset.toggle).classList.toggle("open");
    target.setAttribute("aria-expanded", isOpen);
  }
  if (target.hasAttribute("data-download")) {
    event.preventDefault();
    download(target).catch(() => (location.href = target.href));
  }
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !confirm(question)) return event.preventDefault();
  // A second click would send a form that writes twice. Not before the browser has taken the first.
  setTimeout(() => {
    if (event.defaultPrevented || event.target.getAttribute("method") !== "post") return;
    lock(event.target, true);
    setTimeout(() => lock(event.target, false), 5000); // of a download, the page stays
  });
});

function lock(form, locked) {
  for (const button of form.querySelectorAll("button:not([type=button])")) button.disabled = locked;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const sidebar = document.querySelector("[data-toggle=sidebar]");
  if (sidebar?.getAttribute("aria-expanded") === "true") {
    sidebar.click();
    sidebar.focus();
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

for (const field of document.querySelectorAll("[data-time-zone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
}

const made = document.querySelector("[data-made-key]");
if (made) rememberKey(`${made.dataset.madeKey} …${made.textContent.slice(-4)}`, made.textContent);

const LEAVE = ["/logout", "/login", "/signup", "/console/settings/delete"];
for (const form of document.forms) {
  if (LEAVE.includes(form.getAttribute("action"))) form.addEventListener("submit", () => sessionStorage.removeItem(KEYS));
}

// On a small screen a chart is wider than its box: today, at its right end, is what one wants to see.
const rightmost = new ResizeObserver((boxes) => boxes.forEach(({ target }) => (target.scrollLeft = target.scrollWidth)));
for (const box of document.querySelectorAll(".chart-box")) rightmost.observe(box);

const theme = document.querySelector("[data-theme-switch]");
if (theme && !document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches) {
  theme.href = theme.href.replace("/theme/dark", "/theme/light");
}
