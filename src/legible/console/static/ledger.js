// The ledger check, step by step, so that a long one shows how far it is.

import { csrf, element } from "./app.js";

const at = (id) => document.getElementById(id);
const { accounts, good, bad, broken, offline } = at("ledger").dataset;

async function step(path, fields) {
  const body = new URLSearchParams(fields);
  const response = await fetch(path, { method: "POST", body, headers: { "x-csrf-token": csrf() } });
  if (response.redirected) location.assign("/login?next=/admin/ledger"); // the session is over
  if (!response.ok || response.redirected) throw new Error(broken);
  return response.json();
}

async function check() {
  const problems = [];
  let checked = 0;
  for (let after = 0; after !== null; ) {
    const sums = await step("/admin/ledger/sums", { after });
    problems.push(...sums.wrong.map(({ account, balance, entries }) => `account ${account}: ${balance} ≠ ${entries}`));
    checked += sums.checked;
    at("progress").value = (0.9 * checked) / Math.max(1, Number(accounts));
    after = sums.next;
  }
  const whole = await step("/admin/ledger/calls", { all: 1 });
  at("progress").value = 1;
  return whole.problems.length ? whole.problems : problems;
}

at("check").addEventListener("click", async () => {
  at("check").disabled = true;
  at("progress").hidden = false;
  at("progress").value = 0;
  at("verdict").textContent = "";
  at("problems").replaceChildren();
  try {
    const problems = await check();
    at("verdict").textContent = problems.length ? bad : good;
    at("verdict").className = problems.length ? "bad" : "good";
    at("problems").replaceChildren(...problems.map((problem) => element("li", {}, problem)));
  } catch (error) {
    at("verdict").textContent = error.message === broken ? broken : offline;
  } finally {
    at("check").disabled = false;
  }
});
