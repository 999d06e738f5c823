// The console's parts as custom elements: each has one `data` property, shows text as text only, and takes its
// colours from the --flm-* custom properties of the page it stands on.

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: block; font: inherit; color: var(--flm-text, CanvasText); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
.scroll { overflow-x: auto; max-height: 420px; overflow-y: auto; }
th { text-align: left; font-weight: 600; color: var(--flm-soft, GrayText); padding: 4px 10px 4px 0; position: sticky; top: 0; background: var(--flm-surface, Canvas); box-shadow: inset 0 -1px var(--flm-edge, GrayText); border: 0; }
th.number { text-align: right; }
td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--flm-edge, GrayText); vertical-align: top; overflow-wrap: break-word; max-width: 24em; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; max-width: 14em; overflow: hidden; text-overflow: ellipsis; }
.soft { color: var(--flm-soft, GrayText); }
.good { color: var(--flm-good, green); }
.warn { color: var(--flm-warn, orange); }
.bad { color: var(--flm-bad, red); }
.empty { color: var(--flm-soft, GrayText); margin: 0; }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: 8px 10px; margin-bottom: 8px; border: 1px solid var(--flm-edge, GrayText); border-radius: 6px; overflow-wrap: anywhere; }
li.active { background: var(--flm-bad-ground, Canvas); border-color: var(--flm-bad, red); }
li.waiting { background: var(--flm-warn-ground, Canvas); border-color: var(--flm-warn, orange); }
.change { font-size: 1.15rem; font-weight: 600; margin: 2px 0; }
p { margin: 2px 0; }
button { font: inherit; font-weight: 600; padding: 8px 18px; margin: 8px 8px 2px 0; border-radius: 6px; border: 2px solid var(--flm-accent, Highlight); background: var(--flm-surface, Canvas); color: var(--flm-text, CanvasText); cursor: pointer; }
button.yes { background: var(--flm-accent, Highlight); color: var(--flm-on-accent, HighlightText); }
button:focus-visible { outline: 3px solid var(--flm-accent, Highlight); outline-offset: 2px; }
button:disabled { opacity: .6; cursor: default; }
flm-trend { display: inline-block; }
svg { display: block; }
path { fill: none; stroke: var(--flm-accent, Highlight); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
@media (max-width: 620px) { .optional { display: none; } td { max-width: 11em; } td.number { max-width: 8em; } }
`);

export const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value);
  }
  // strings become text nodes: what a device says is never markup
  element.append(...children);
  return element;
};

export const shown = (value) => {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return String(value);
};

const clock = (iso) => (iso ? new Date(iso).toLocaleTimeString() : "");

class Part extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
  }
  set data(data) {
    this._data = data;
    this.shadowRoot.replaceChildren(...this.parts(data));
  }
  get data() {
    return this._data;
  }
  table(columns, rows, label) {
    const head = make("tr", {}, ...columns.map(([title, kind]) => make("th", { scope: "col", class: kind || "" }, title)));
    const body = rows.map((cells) => make("tr", {}, ...cells));
    const table = make("table", { "aria-label": label }, make("thead", {}, head), make("tbody", {}, ...body));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
  }
}

// <flm-trend>: points [[seconds, value or null], …] as a small line; a gap where there was no good value
export class Trend extends Part {
  parts(points) {
    const width = 160, height = 30, pad = 2;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("role", "img");
    const values = points.map((point) => point[1]).filter((value) => value !== null);
    if (values.length < 2) {
      svg.setAttribute("aria-label", "no trend yet");
      return [svg];
    }
    const low = Math.min(...values), high = Math.max(...values);
    const begin = points[0][0], span = points[points.length - 1][0] - begin || 1;
    svg.setAttribute("aria-label", `trend between ${shown(low)} and ${shown(high)} over ${Math.round(span)} seconds`);
    const place = ([second, value]) => {
      const x = pad + ((second - begin) / span) * (width - 2 * pad);
      const y = height - pad - (high === low ? 0.5 : (value - low) / (high - low)) * (height - 2 * pad);
      return `${x.toFixed(1)} ${y.toFixed(1)}`;
    };
    let pen = "M", line = "";
    for (const point of points) {
      if (point[1] === null) pen = "M";
      else { line += pen + place(point); pen = "L"; }
    }
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", line);
    svg.append(path);
    return [svg];
  }
}

// <flm-values>: {cells: [...], trends: {tag: points}}; cells are updated in place, so that focus and scroll stay
export class Values extends Part {
  parts({ cells, trends }) {
    this._rows = new Map();
    if (!cells.length) return [make("p", { class: "empty" }, "No value yet. Values are read while this page is open.")];
    const rows = cells.map((cell) => {
      const parts = { value: make("td", { class: "number" }), trend: make("flm-trend"), state: make("td", {}) };
      this._rows.set(cell.tag, parts);
      return [
        make("td", {}, make("span", {}, cell.tag), make("br"), make("span", { class: "soft" }, cell.description)),
        parts.value, make("td", { class: "optional" }, parts.trend), parts.state,
      ];
    });
    const table = this.table([["Tag"], ["Value", "number"], ["Trend", "optional"], ["Quality"]], rows, "Values of the plant");
    for (const cell of cells) this.update(cell, trends[cell.tag] || []);
    return [table];
  }
  update(cell, points) {
    const parts = this._rows && this._rows.get(cell.tag);
    if (!parts) return false;
    parts.value.replaceChildren(shown(cell.value), make("span", { class: "soft" }, cell.unit ? ` ${cell.unit}` : ""));
    const mark = cell.quality.startsWith("Good") ? "good" : cell.quality.startsWith("Uncertain") ? "warn" : "bad";
    parts.state.className = mark;
    parts.state.textContent = mark === "good" ? "Good" : `${cell.quality}: ${cell.problem}`;
    parts.trend.data = points;
    return true;
  }
}

export class Alarms extends Part {
  parts(alarms) {
    if (!alarms.length) return [make("p", { class: "empty" }, "No alarm.")];
    return [make("ul", {}, ...alarms.map((alarm) => make("li", { class: alarm.active ? "active" : "" },
      make("p", {}, make("strong", {}, alarm.text || alarm.name)),
      make("p", { class: "soft" }, `${alarm.source} · ${alarm.name} · severity ${alarm.severity} · ${alarm.state} · ${clock(alarm.time)}`))))];
  }
}

// <flm-approvals>: fires "decide" with {id, approve}; the page sends it
export class Approvals extends Part {
  parts(requests) {
    const waiting = requests.filter((request) => request.decision === "waiting");
    const past = requests.filter((request) => request.decision !== "waiting").slice(0, 5);
    const empty = waiting.length ? [] : [make("p", { class: "empty" }, "Nothing waits.")];
    return [...empty, make("ul", {}, ...waiting.map((request) => this.open(request)), ...past.map((request) => this.closed(request)))];
  }
  open(request) {
    const unit = request.unit ? ` ${request.unit}` : "";
    const decide = (approve) => (event) => {
      for (const button of event.target.parentElement.querySelectorAll("button")) button.disabled = true;
      this.dispatchEvent(new CustomEvent("decide", { bubbles: true, composed: true, detail: { id: request.id, approve } }));
    };
    return make("li", { class: "waiting" },
      make("p", {}, make("strong", {}, request.tag), request.description ? ` (${request.description})` : ""),
      make("p", { class: "change" }, `${shown(request.before)}${unit} → ${shown(request.value)}${unit}`),
      make("p", { class: "soft" }, `asked by ${request.client || "an assistant"} for ${request.principal} at ${clock(request.asked)}, until ${clock(request.expires)}`),
      make("div", {},
        make("button", { class: "yes", type: "button", click: decide(true), "aria-label": `Approve writing ${shown(request.value)}${unit} to ${request.tag}` }, "Approve"),
        make("button", { type: "button", click: decide(false), "aria-label": `Refuse writing to ${request.tag}` }, "Refuse")));
  }
  closed(request) {
    return make("li", {}, `${request.tag}: ${shown(request.before)} → ${shown(request.value)} — ${request.decision}`,
      make("span", { class: "soft" }, request.by ? ` by ${request.by}` : ""));
  }
}

export class Health extends Part {
  parts(health) {
    const names = Object.keys(health);
    if (!names.length) return [make("p", { class: "empty" }, "No device. Start the server with a plant file.")];
    const words = { true: ["good", "answers"], false: ["bad", "does not answer"], null: ["soft", "not asked yet"] };
    const rows = names.map((name) => {
      const [mark, said] = words[String(health[name])];
      return [make("td", {}, name), make("td", { class: mark }, said)];
    });
    return [this.table([["Device"], ["Connection"]], rows, "Connections")];
  }
}

export class Calls extends Part {
  parts(calls) {
    if (!calls.length) return [make("p", { class: "empty" }, "Nothing yet.")];
    const rows = [...calls].reverse().map((call) => [
      make("td", { class: "number" }, clock(call.time)),
      make("td", {}, call.tool, make("br"), make("span", { class: "soft" }, call.arguments)),
      make("td", { class: call.outcome === "ok" ? "good" : "warn" }, call.outcome),
      make("td", { class: "number optional" }, `${Math.round(call.seconds * 1000)} ms`),
    ]);
    return [this.table([["Time", "number"], ["Question"], ["Outcome"], ["Took", "number optional"]], rows, "Calls of the assistant")];
  }
}

export class Audit extends Part {
  parts({ lines, verdict, intact }) {
    const said = make("p", { class: intact ? "good" : "bad" }, verdict);
    if (!lines.length) return [said];
    const rows = lines.map((line) => [
      make("td", { class: "number" }, String(line.n)),
      make("td", { class: "number" }, clock(line.time), make("br"), make("span", { class: "soft" }, new Date(line.time).toLocaleDateString())),
      make("td", {}, line.event),
      make("td", {}, line.tag || ""),
      make("td", {}, "value" in line ? `${shown(line.before)} → ${shown(line.value)}` : ""),
      make("td", { class: "optional" }, line.reason || line.by || line.client || ""),
    ]);
    return [said, this.table([["Line", "number"], ["Time", "number"], ["Event"], ["Tag"], ["Change"], ["By or why", "optional"]], rows, "Audit trail")];
  }
}

for (const [name, part] of Object.entries({ trend: Trend, values: Values, alarms: Alarms, approvals: Approvals, health: Health, calls: Calls, audit: Audit })) {
  customElements.define(`flm-${name}`, part);
}
