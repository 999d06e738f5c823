// Wires the page to the host: one snapshot, then events; after a cut the browser resumes where it was.
import "./elements.js";

const MOST_POINTS = 240;
const part = (name) => document.querySelector(`flm-${name}`);
const line = document.getElementById("line");
const find = document.getElementById("find");
const section = document.getElementById("requests-section");
const state = { cells: new Map(), trends: {}, calls: [] };

const showValues = () => {
  const word = find.value.trim().toLowerCase();
  const cells = [...state.cells.values()].filter((cell) => `${cell.tag} ${cell.description}`.toLowerCase().includes(word));
  part("values").data = { cells, trends: state.trends };
};

const showRequests = (requests) => {
  const waiting = requests.filter((request) => request.decision === "waiting").length;
  section.classList.toggle("waiting", waiting > 0);
  document.title = waiting ? `(${waiting}) FactoryLM console` : "FactoryLM console";
  part("approvals").data = requests;
};

const note = (cell) => {
  if (typeof cell.value === "number" || state.trends[cell.tag]) {
    const points = (state.trends[cell.tag] ||= []);
    points.push([Date.parse(cell.time) / 1000, typeof cell.value === "number" ? cell.value : null]);
    if (points.length > MOST_POINTS) points.shift();
  }
  const known = state.cells.has(cell.tag);
  state.cells.set(cell.tag, cell);
  return known;
};

const heard = {
  values(cells) {
    const allKnown = cells.map(note).every(Boolean);
    if (!allKnown) showValues();
    else for (const cell of cells) part("values").update(cell, state.trends[cell.tag] || []);
    line.textContent = `Live · ${new Date().toLocaleTimeString()}`;
  },
  health: (health) => { part("health").data = health; },
  alarms: (alarms) => { part("alarms").data = alarms; },
  requests: showRequests,
  audit: (audit) => { part("audit").data = audit; },
  call(call) {
    state.calls = [...state.calls, call].slice(-100);
    part("calls").data = state.calls;
  },
};

const load = async () => {
  const snapshot = await (await fetch("api/snapshot")).json();
  document.getElementById("plant").textContent = snapshot.plant;
  state.cells = new Map(snapshot.values.map((cell) => [cell.tag, cell]));
  state.trends = snapshot.trends;
  state.calls = snapshot.calls;
  showValues();
  showRequests(snapshot.requests);
  part("alarms").data = snapshot.alarms;
  part("health").data = snapshot.health;
  part("audit").data = snapshot.audit;
  part("calls").data = snapshot.calls;
  return snapshot.last;
};

const follow = (last) => {
  const source = new EventSource(`api/events?after=${last}`);
  source.onopen = () => { line.classList.remove("lost"); line.textContent = "Live"; };
  source.onerror = () => {
    line.classList.add("lost");
    line.textContent = "The server does not answer; trying again…";
    if (source.readyState === EventSource.CLOSED) setTimeout(start, 2000);
  };
  source.addEventListener("reload", () => { source.close(); start(); });
  for (const [kind, show] of Object.entries(heard)) source.addEventListener(kind, (event) => show(JSON.parse(event.data)));
};

const start = async () => {
  try {
    follow(await load());
  } catch {
    line.classList.add("lost");
    line.textContent = "The server does not answer; trying again…";
    setTimeout(start, 2000);
  }
};

document.addEventListener("decide", async ({ detail }) => {
  const answer = await fetch(`api/requests/${encodeURIComponent(detail.id)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ approve: detail.approve }),
  });
  if (!answer.ok) line.textContent = (await answer.json()).title;
  showRequests((await (await fetch("api/snapshot")).json()).requests);
});
find.addEventListener("input", showValues);
start();
