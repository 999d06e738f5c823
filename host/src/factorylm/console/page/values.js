// <flm-values>: {cells, trends: {tag: points}, hidden}; cells are updated in place, so that focus and scroll stay.
// `past`, where it is set, is asked as past(tag, hours) for {points} or {problem}.
import { Part, empty, make, measured, named, unitOf } from "./parts.js";

const SPANS = [["Live", 0], ["1 hour", 1], ["12 hours", 12], ["7 days", 168]];

export const markOf = (quality) => (quality.startsWith("Good") ? "good" : quality.startsWith("Uncertain") ? "warn" : "bad");

export class Values extends Part {
  parts({ cells, trends, nothing }) {
    this._rows = new Map();
    this._open ||= new Set();
    if (!cells.length) return [empty(nothing || "No value yet. Values are read while this page is open.")];
    const rows = cells.map((cell) => this.row(cell));
    const columns = [["Tag"], ["Value", "number"], ["Trend", "optional"], ["Quality"]];
    const table = this.table(columns, rows, "Values of the plant");
    for (const cell of cells) this.update(cell, trends[cell.tag] || []);
    return [table];
  }
  row(cell) {
    const state = make("td", { class: "state" });
    const parts = { value: make("td", { class: "number value" }), trend: make("flm-trend"), state };
    const toggle = () => this.toggle(cell.tag);
    parts.plot = make("button", { class: "plot", type: "button", "aria-expanded": "false", "aria-label": `Trend of ${cell.tag}`, click: toggle }, parts.trend);
    const about = [make("span", {}, ...named(cell.tag))];
    if (cell.description) about.push(make("br"), make("span", { class: "soft clamp", title: cell.description }, cell.description));
    this._rows.set(cell.tag, parts);
    return [make("td", { class: "name" }, ...about), parts.value, make("td", { class: "optional" }, parts.plot), state];
  }
  update(cell, points) {
    const parts = this._rows && this._rows.get(cell.tag);
    if (!parts) return false;
    parts.value.replaceChildren(measured(cell.value), make("span", { class: "soft" }, unitOf(cell.unit)));
    const mark = markOf(cell.quality);
    parts.state.className = mark;
    parts.state.replaceChildren(...(mark === "good" ? ["Good"] : [make("strong", {}, cell.quality), make("span", { class: "clamp", title: cell.problem }, cell.problem)]));
    parts.plot.hidden = points.length < 2;
    parts.trend.data = points;
    if (this._open.has(cell.tag)) this.enlarge(cell.tag, parts, points);
    return true;
  }
  toggle(tag) {
    const parts = this._rows.get(tag);
    if (!parts) return;
    if (this._open.delete(tag)) {
      parts.large?.remove();
      parts.large = null;
      parts.hours = 0;
      parts.plot.setAttribute("aria-expanded", "false");
    } else {
      this._open.add(tag);
      this.enlarge(tag, parts, parts.trend.data);
      parts.large.scrollIntoView({ block: "nearest" });
    }
  }
  enlarge(tag, parts, points) {
    if (!parts.large) {
      const trend = make("flm-trend", { large: "" });
      const said = make("p", { class: "soft", role: "status" });
      parts.large = make("tr", {}, make("td", { colspan: "4", class: "whole" }, ...this.spans(tag, parts), trend, said));
      parts.value.parentElement.after(parts.large);
      parts.plot.setAttribute("aria-expanded", "true");
    }
    // who looks at yesterday must not be thrown back to now by the next value
    if (!parts.hours) parts.large.querySelector("flm-trend").data = points;
  }
  // live, or what the history holds; without a history there is nothing to choose
  spans(tag, parts) {
    if (!this.past) return [];
    const buttons = SPANS.map(([name, hours]) => make("button", { class: "span", type: "button", "aria-pressed": String(!hours), click: () => choose(hours) }, name));
    const choose = async (hours) => {
      parts.hours = hours;
      buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(SPANS[at][1] === hours)));
      const [trend, said] = [parts.large.querySelector("flm-trend"), parts.large.querySelector("[role=status]")];
      said.textContent = hours ? "Asking the history…" : "";
      const { points, problem } = hours ? await this.past(tag, hours) : { points: parts.trend.data };
      if (parts.hours !== hours || !parts.large) return;
      trend.data = points || [];
      said.textContent = problem || "";
    };
    return [make("div", { class: "spans", role: "group", "aria-label": `Span of the trend of ${tag}` }, ...buttons)];
  }
}
