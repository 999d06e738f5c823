// Wires the page to the host: one snapshot, then events; after a cut the browser resumes where it was.
import "./elements.js";
import { clock } from "./parts.js";
import { markOf } from "./values.js";

const MOST_POINTS = 240;
const part = (name) => document.querySelector(`flm-${name}`);
const element = (id) => document.getElementById(id);
const state = { cells: new Map(), trends: {}, calls: [], health: {}, tags: 0, mostTags: 0, heard: 0 };

const say = (text) => { if (element("line").textContent !== text) element("line").textContent = text; };
const lost = (text) => {
  document.body.classList.add("lost");
  say(state.heard ? `${text} What is shown below is from ${clock(new Date(state.heard).toISOString())}.` : text);
};
const live = () => {
  document.body.classList.remove("lost");
  say("Live");
};
const heardNow = () => {
  state.heard = Date.now();
  element("clock").textContent = clock(new Date().toISOString());
};

const showValues = () => {
  const word = element("find").value.trim().toLowerCase();
  const onlyProblems = element("problems").checked;
  const fits = (cell) => `${cell.tag} ${cell.description}`.toLowerCase().includes(word) && !(onlyProblems && markOf(cell.quality) === "good");
  const cells = [...state.cells.values()].filter(fits);
  const nothing = state.cells.size ? (word ? "No tag of that name." : "Every value is good.") : "";
  part("values").data = { cells, trends: state.trends, nothing };
  element("more").hidden = state.tags <= state.mostTags;
  element("more").textContent = `The first ${state.mostTags} of ${state.tags} tags are shown here; an assistant, and factorylm read, reach all.`;
};

const showHealth = () => {
  const devices = Object.entries(state.health).map(([device, up]) => ({ device, up, tags: 0, good: 0, problem: "" }));
  const byName = new Map(devices.map((entry) => [entry.device, entry]));
  for (const cell of state.cells.values()) {
    const entry = byName.get(cell.tag.split(".")[0].split("/")[0]);
    if (!entry) continue;
    const good = markOf(cell.quality) === "good";
    entry.tags += 1;
    entry.good += good ? 1 : 0;
    if (!good) entry.problem ||= cell.problem;
  }
  if (JSON.stringify(part("health").data) !== JSON.stringify(devices)) part("health").data = devices;
};

const showRequests = (requests) => {
  const waiting = requests.filter((request) => request.decision === "waiting");
  element("requests-section").classList.toggle("waiting", waiting.length > 0);
  document.title = waiting.length ? `(${waiting.length}) FactoryLM console` : "FactoryLM console";
  const said = waiting.length ? `${waiting.length} writes wait for your decision` : "";
  if (element("news").textContent !== said) element("news").textContent = said;
  part("approvals").data = requests;
};

const showAlarms = (told) => {
  const active = told.alarms.filter((alarm) => alarm.active).length;
  element("alarms-title").textContent = active ? `Alarms (${active} active)` : "Alarms";
  part("alarms").data = told;
};

const showNotices = (notices) => {
  element("notices-section").hidden = !notices.length;
  part("notices").data = notices;
};

const showAudit = (audit) => {
  element("audit-section").classList.toggle("broken", !audit.intact);
  part("audit").data = audit;
};

const note = (cell) => {
  if (typeof cell.value === "number" || state.trends[cell.tag]) {
    const points = (state.trends[cell.tag] ||= []);
    points.push([Date.parse(cell.time) / 1000, typeof cell.value === "number" ? cell.value : null]);
    if (points.length > MOST_POINTS) points.shift();
  }
  const known = state.cells.get(cell.tag);
  state.cells.set(cell.tag, cell);
  return known !== undefined && markOf(known.quality) === markOf(cell.quality);
};

const heard = {
  values(cells) {
    const sameRows = cells.map(note).every(Boolean);
    if (!sameRows) showValues();
    else for (const cell of cells) part("values").update(cell, state.trends[cell.tag] || []);
    showHealth();
  },
  health(health) { state.health = health; showHealth(); },
  alarms: showAlarms,
  requests: showRequests,
  audit: showAudit,
  notices: showNotices,
  call(call) {
    state.calls = [...state.calls, call].slice(-100);
    part("calls").data = state.calls;
  },
};

const load = async () => {
  const answer = await fetch("api/snapshot");
  if (!answer.ok) throw new Error((await answer.json()).title);
  const snapshot = await answer.json();
  // deadlines are counted by the server's clock, not by this machine's
  part("approvals").skew = Date.parse(snapshot.now) - Date.now();
  element("plant").textContent = snapshot.plant;
  Object.assign(state, { trends: snapshot.trends, calls: snapshot.calls, health: snapshot.health, tags: snapshot.tags, mostTags: snapshot.most_tags });
  part("values").past = snapshot.past ? past : null;
  state.cells = new Map(snapshot.values.map((cell) => [cell.tag, cell]));
  showValues();
  showHealth();
  showRequests(snapshot.requests);
  showAlarms(snapshot.alarms);
  showNotices(snapshot.notices);
  showAudit(snapshot.audit);
  part("calls").data = snapshot.calls;
  document.body.classList.remove("loading");
  return snapshot.last;
};

const past = async (tag, hours) => {
  try {
    const answer = await fetch(`api/past?tag=${encodeURIComponent(tag)}&hours=${hours}`);
    const told = await answer.json();
    if (!answer.ok) return { problem: told.title };
    return told.points.length > 1 ? told : { problem: "The history holds nothing of this span." };
  } catch {
    return { problem: "The server does not answer." };
  }
};

const follow = (last) => {
  const source = new EventSource(`api/events?after=${last}`);
  source.onopen = live;
  source.onerror = () => {
    lost("The server does not answer; trying again.");
    if (source.readyState === EventSource.CLOSED) setTimeout(start, 2000);
  };
  source.addEventListener("reload", () => { source.close(); start(); });
  for (const [kind, show] of Object.entries(heard)) {
    source.addEventListener(kind, (event) => { heardNow(); show(JSON.parse(event.data)); });
  }
};

const start = async () => {
  try {
    follow(await load());
  } catch (error) {
    lost(error instanceof TypeError ? "The server does not answer; trying again." : `${error.message}; trying again.`);
    setTimeout(start, 2000);
  }
};

const decide = async ({ id, approve }) => {
  try {
    const answer = await fetch(`api/requests/${encodeURIComponent(id)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ approve }),
    });
    element("answer").textContent = answer.ok ? "" : (await answer.json()).title;
  } catch {
    element("answer").textContent = "Your decision did not reach the server. Decide again.";
    part("approvals").again(id);
  }
};

document.addEventListener("decide", ({ detail }) => decide(detail));
element("find").addEventListener("input", showValues);
element("problems").addEventListener("change", showValues);
start();
