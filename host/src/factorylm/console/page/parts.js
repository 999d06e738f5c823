// What the console's custom elements share: text is only ever text, and colours come from the --flm-* custom
// properties of the page they stand on.

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
:host { display: block; font: inherit; color: var(--flm-text, CanvasText); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
.scroll { overflow: auto; max-height: min(70vh, 800px); }
.scroll:focus-visible, button:focus-visible { outline: 3px solid var(--flm-accent, Highlight); outline-offset: 2px; }
th { text-align: left; font-weight: 600; color: var(--flm-soft, GrayText); padding: 4px 12px 4px 0; position: sticky; top: 0; z-index: 1; background: var(--flm-surface, Canvas); box-shadow: inset 0 -1px var(--flm-edge, GrayText); }
td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--flm-edge, GrayText); vertical-align: top; overflow-wrap: break-word; max-width: 24em; }
tr > :last-child { padding-right: 2px; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.number { max-width: 14em; overflow: hidden; text-overflow: ellipsis; }
td.value { font-size: 1.02rem; font-weight: 600; }
td.value .soft { font-weight: 400; }
.soft { color: var(--flm-soft, GrayText); }
.good { color: var(--flm-good, green); }
.warn { color: var(--flm-warn, orange); }
.bad { color: var(--flm-bad, red); }
.warn strong, .bad strong { font-weight: 600; }
.clamp { display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; overflow-wrap: anywhere; }
.empty { color: var(--flm-soft, GrayText); }
p { margin: 2px 0; }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: 8px 12px; margin-bottom: 8px; border: 1px solid var(--flm-edge, GrayText); border-left-width: 5px; border-radius: 6px; overflow-wrap: anywhere; }
li.bad { color: inherit; background: var(--flm-bad-ground, Canvas); border-color: var(--flm-bad, red); }
li.warn { color: inherit; background: var(--flm-warn-ground, Canvas); border-color: var(--flm-warn, orange); }
.row { display: flex; flex-wrap: wrap; gap: 2px 12px; justify-content: space-between; }
.change { font-size: 1.25rem; font-weight: 600; margin: 4px 0; font-variant-numeric: tabular-nums; }
button { font: inherit; color: inherit; cursor: pointer; }
.decide { font-weight: 600; min-height: 44px; padding: 8px 20px; margin: 8px 12px 2px 0; border-radius: 6px; border: 2px solid var(--flm-accent, Highlight); background: var(--flm-surface, Canvas); color: var(--flm-text, CanvasText); }
.decide.yes { background: var(--flm-accent, Highlight); color: var(--flm-on-accent, HighlightText); }
.decide:disabled { border-style: dashed; background: none; color: var(--flm-soft, GrayText); cursor: default; }
.spans { display: flex; flex-wrap: wrap; gap: 6px; margin: 6px 0; }
.span { min-height: 32px; padding: 3px 12px; border-radius: 6px; border: 1px solid var(--flm-soft, GrayText); background: none; }
.span[aria-pressed="true"] { background: var(--flm-accent, Highlight); color: var(--flm-on-accent, HighlightText); border-color: var(--flm-accent, Highlight); }
.plot { border: 0; background: none; padding: 0; border-radius: 4px; display: block; }
svg { display: block; }
svg.small { width: 150px; height: 30px; }
svg.large { width: 100%; max-height: 240px; }
td.whole { max-width: none; }
[hidden] { display: none !important; }
path { fill: none; stroke: var(--flm-accent, Highlight); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
line { stroke: var(--flm-edge, GrayText); stroke-width: 1; }
text { fill: var(--flm-soft, GrayText); font-size: 12px; }
.plot:hover { background: var(--flm-ground, Canvas); }
.lines { white-space: pre-line; }
.above { margin-bottom: 8px; }
@media (max-width: 620px) {
  .optional { display: none; }
  th, td { padding-right: 8px; }
  td { max-width: none; overflow-wrap: anywhere; }
  /* room for the parts of a name, so that it breaks between them */
  td.name { min-width: 5.2em; }
  td.word { white-space: nowrap; }
  td.number { max-width: 8.5em; }
}
@media (max-width: 400px) {
  table { font-size: .82rem; }
  th, td { padding-right: 6px; }
}
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

// exactly as it is: what a person approves must not be rounded
export const shown = (value) => (value === null || value === undefined ? "–" : String(value));

// five digits are more than most instruments have
export const measured = (value) => {
  if (typeof value !== "number" || Number.isInteger(value)) return shown(value);
  return String(Number(value.toPrecision(5)));
};

// UCUM as it is written on the plant's own displays
export const unitOf = (unit) => (unit ? ` ${unit.replace("Cel", "°C").replace("m3", "m³").replace("m2", "m²")}` : "");

// the Swedish form is ISO 8601: no month is taken for a day, no morning for an evening
export const clock = (iso) => (iso ? new Date(iso).toLocaleTimeString("sv-SE") : "");
export const day = (iso) => (iso ? new Date(iso).toLocaleDateString("sv-SE") : "");
// a long name breaks after a dot or an underscore, never within a word
export const named = (name) => String(name).split(/(?<=[._])/).flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part]));
export const empty = (text) => make("p", { class: "empty" }, text);

export class Part extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
  }
  set data(data) {
    const before = this.shadowRoot.querySelector(".scroll");
    const [top, left] = before ? [before.scrollTop, before.scrollLeft] : [0, 0];
    const held = before !== null && this.shadowRoot.activeElement === before;
    this._data = data;
    this.shadowRoot.replaceChildren(...this.parts(data));
    const after = this.shadowRoot.querySelector(".scroll");
    if (!after) return;
    // who scrolled down to read must not be thrown back to the top by the next event
    after.scrollTo({ top, left, behavior: "instant" });
    if (held) after.focus({ preventScroll: true });
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
