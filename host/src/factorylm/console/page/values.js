// <flm-values>: {cells, trends: {tag: points}, hidden}; cells are updated in place, so that focus and scroll stay.
import { Part, empty, make, measured, unitOf } from "./parts.js";

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
    const about = [make("span", {}, cell.tag)];
    if (cell.description) about.push(make("br"), make("span", { class: "soft clamp", title: cell.description }, cell.description));
    this._rows.set(cell.tag, parts);
    return [make("td", {}, ...about), parts.value, make("td", { class: "optional" }, parts.plot), state];
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
      parts.plot.setAttribute("aria-expanded", "false");
    } else {
      this._open.add(tag);
      this.enlarge(tag, parts, parts.trend.data);
    }
  }
  enlarge(tag, parts, points) {
    if (!parts.large) {
      const trend = make("flm-trend", { large: "" });
      parts.large = make("tr", {}, make("td", { colspan: "4", class: "whole" }, trend));
      parts.value.parentElement.after(parts.large);
      parts.plot.setAttribute("aria-expanded", "true");
    }
    parts.large.querySelector("flm-trend").data = points;
  }
}
