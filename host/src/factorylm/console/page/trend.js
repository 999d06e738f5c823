// <flm-trend>: data = [[seconds, value or null], …]; a gap where there was no good value. With the attribute
// `large`, scales are drawn.
import { Part, clock, day, measured } from "./parts.js";

const LEAST_SPAN = 0.02;
// from here on a time of day alone could be yesterday's
const HALF_A_DAY_S = 43_000;

const draw = (name, attributes, text = "") => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};

const extent = (points) => {
  const values = points.map((point) => point[1]).filter((value) => value !== null);
  if (values.length < 2) return null;
  return { low: Math.min(...values), high: Math.max(...values), begin: points[0][0], end: points[points.length - 1][0] };
};

const route = (points, place) => {
  let pen = "M", line = "";
  for (const point of points) {
    if (point[1] === null) pen = "M";
    else { line += pen + place(point); pen = "L"; }
  }
  return line;
};

export class Trend extends Part {
  parts(points) {
    const large = this.hasAttribute("large");
    const [width, height] = large ? [720, 170] : [150, 30];
    const [left, below, pad] = large ? [70, 22, 8] : [0, 0, 2];
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: large ? "large" : "small" });
    const span = extent(points);
    if (!span) {
      svg.setAttribute("aria-label", "no trend yet");
      return [svg];
    }
    const { begin, end } = span;
    const { low, high } = large ? span : this.calmed(span);
    const seconds = Math.round(end - begin);
    svg.setAttribute("aria-label", `trend between ${measured(span.low)} and ${measured(span.high)} over ${seconds} seconds`);
    const x = (second) => left + pad + ((second - begin) / (end - begin || 1)) * (width - left - 2 * pad);
    const y = (value) => height - below - pad - (high === low ? 0.5 : (value - low) / (high - low)) * (height - below - 2 * pad);
    if (large) svg.append(...this.scales(span, x, y, width, height));
    svg.append(draw("path", { d: route(points, ([second, value]) => `${x(second).toFixed(1)} ${y(value).toFixed(1)}`) }));
    return [svg];
  }
  // what moves by less than 2 % is drawn nearly flat: noise must not look like an event
  calmed({ low, high }) {
    const missing = Math.max(0, LEAST_SPAN * Math.max(Math.abs(low), Math.abs(high)) - (high - low)) / 2;
    return { low: low - missing, high: high + missing };
  }
  scales({ low, high, begin, end }, x, y, width, height) {
    const levels = high === low ? [low] : [low, (low + high) / 2, high];
    const marks = levels.flatMap((level) => [
      draw("line", { x1: x(begin), x2: width, y1: y(level), y2: y(level) }),
      draw("text", { x: x(begin) - 8, y: y(level) + 4, "text-anchor": "end" }, measured(Number(level.toPrecision(4)))),
    ]);
    const time = (second) => {
      const iso = new Date(second * 1000).toISOString();
      return end - begin > HALF_A_DAY_S ? `${day(iso)} ${clock(iso).slice(0, 5)}` : clock(iso);
    };
    return [
      ...marks,
      draw("text", { x: x(begin), y: height - 4 }, time(begin)),
      draw("text", { x: x(end), y: height - 4, "text-anchor": "end" }, time(end)),
    ];
  }
}
