"use strict";
const EVERY_MS = 2000;
const byId = (id) => document.getElementById(id);
let paused = false;
let timer = 0;

const dollars = (micro) => {
  const value = micro / 1e6;
  const size = Math.abs(value);
  return (value < 0 ? "-$" : "$") + size.toFixed(size < 0.01 && size > 0 ? 6 : size < 1 ? 4 : 2);
};
const percent = (share) => (100 * share).toFixed(1) + " %";

function say(id, text, note) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
  if (note !== undefined) byId(id + "-note").textContent = note;
}

function fill(id, first, rows) {
  const dearest = Math.max(1, ...rows.map((row) => row.cost_micro));
  const head = document.createElement("thead");
  const line = head.insertRow();
  for (const title of [first, "Requests", "Spent", "Premium", "Share"]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    line.append(cell);
  }
  const body = document.createElement("tbody");
  for (const row of rows) {
    const tr = body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = row.name;
    tr.append(name);
    for (const text of [row.requests, dollars(row.cost_micro), row.premium_micro ? dollars(row.premium_micro) : "–"]) {
      tr.insertCell().textContent = text;
    }
    const meter = document.createElement("meter");
    meter.max = dearest;
    meter.value = row.cost_micro;
    meter.setAttribute("aria-label", row.name + " spent " + dollars(row.cost_micro));
    tr.insertCell().append(meter);
  }
  if (!rows.length) {
    const cell = body.insertRow().insertCell();
    cell.textContent = "Nothing in this period";
  }
  byId(id).replaceChildren(...(rows.length ? [head, body] : [body]));
}

function show(data) {
  byId("plant").textContent = data.plant;
  byId("trouble").hidden = !data.trouble;
  byId("trouble").textContent = data.trouble ? "The changed configuration was not taken over: " + data.trouble : "";
  say("cost", dollars(data.cost_micro), data.requests + " requests, " + data.in_flight + " under way");
  const saved = data.premium_micro - data.cost_micro;
  say("saved", data.premium_micro ? percent(saved / data.premium_micro) : "–",
    data.premium_micro ? dollars(saved) + " of " + dollars(data.premium_micro) : "nothing to compare yet");
  const q = data.quality;
  say("quality", q ? percent(q[0]) : "–",
    q ? percent(q[1]) + " to " + percent(q[2]) + ", premium agreed in " + q[3] + " shadows" : "no shadow answers yet");
  const l = data.latency_ms;
  say("latency", l ? l.p50 + " ms" : "–", l ? "half; 95 % within " + l.p95 + " ms" : "");
  say("escalated", data.requests ? percent(data.escalated / data.requests) : "–", data.escalated + " requests");
  const refusals = Object.entries(data.refusals);
  say("refused", String(refusals.reduce((sum, entry) => sum + entry[1], 0)),
    refusals.map((entry) => entry[1] + " " + entry[0].replaceAll("_", " ")).join(", "));
  fill("days", "Day", data.days.slice().sort((a, b) => (a.name < b.name ? 1 : -1)));
  fill("keys", "Key", data.keys);
  fill("models", "Model", data.models);
}

async function refresh() {
  clearTimeout(timer);
  try {
    const response = await fetch("/dashboard/data?hours=" + byId("hours").value, { cache: "no-store" });
    if (response.status === 401) return location.reload();
    if (!response.ok) throw new Error(String(response.status));
    show(await response.json());
    byId("live").textContent = paused ? "Paused" : "Live";
  } catch {
    byId("live").textContent = "Router not reached";
  }
  if (!paused) timer = setTimeout(refresh, EVERY_MS);
}

byId("hours").addEventListener("change", refresh);
byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Go on" : "Pause";
  refresh();
});
refresh();
