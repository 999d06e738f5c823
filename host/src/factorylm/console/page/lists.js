// The remaining parts: alarms, devices, calls, the audit trail, notices.
import { Part, clock, day, empty, make, named, shown } from "./parts.js";

// <flm-alarms>: {alarms, more, keeping, unknown}
export class Alarms extends Part {
  parts({ alarms, more, keeping, unknown }) {
    const silent = unknown.map((device) => make("p", { class: "bad above" }, `${device} does not answer: its alarms are not known.`));
    if (!alarms.length) return [...silent, this.none(keeping, unknown)];
    const rest = more ? [empty(`and ${more} more`)] : [];
    const list = make("ul", {}, ...alarms.map((alarm) => this.alarm(alarm)));
    return [...silent, make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Standing alarms" }, list, ...rest)];
  }
  none(keeping, unknown) {
    if (keeping === null) return empty("Asking the devices…");
    const heard = keeping.filter((device) => !unknown.includes(device));
    if (heard.length) return empty(`No alarm stands at ${heard.join(", ")}.`);
    return empty(keeping.length ? "" : "No device of this plant tells alarms.");
  }
  alarm(alarm) {
    const mark = !alarm.active ? "" : alarm.severity >= 500 ? "bad" : "warn";
    return make("li", { class: mark },
      make("p", { class: "row" }, make("strong", {}, `${alarm.active ? "▲ " : ""}${alarm.text || alarm.name}`), make("span", {}, alarm.state)),
      make("p", { class: "soft" }, `${alarm.source} · ${alarm.name} · severity ${alarm.severity} · ${day(alarm.time)} ${clock(alarm.time)}`));
  }
}

// <flm-health>: [{device, up, tags, good, problem}]
export class Health extends Part {
  parts(devices) {
    if (!devices.length) return [empty("No device. Start the server with a plant file.")];
    const words = { true: ["good", "answers"], false: ["bad", "does not answer"], null: ["soft", "not asked yet"] };
    const rows = devices.map(({ device, up, tags, good, problem }) => {
      const [mark, said] = words[String(up)];
      const why = up === false && problem ? [make("span", { class: "clamp soft", title: problem }, problem)] : [];
      const count = make("td", { class: tags && good < tags ? "number warn" : "number" }, tags ? `${good} of ${tags}` : "–");
      return [make("td", {}, device), make("td", { class: mark }, said, ...why), count];
    });
    return [this.table([["Device"], ["Connection"], ["Good tags", "number"]], rows, "Connections")];
  }
}

// <flm-calls>: what the assistant asked, oldest first
export class Calls extends Part {
  parts(calls) {
    if (!calls.length) return [empty("Nothing yet.")];
    const rows = [...calls].reverse().map((call) => [
      make("td", { class: "number" }, clock(call.time)),
      make("td", {}, call.tool, make("span", { class: "soft clamp", title: call.arguments }, call.arguments)),
      make("td", { class: call.outcome === "ok" ? "good" : "warn" }, call.outcome),
      make("td", { class: "number optional" }, `${Math.round(call.seconds * 1000)} ms`, make("br"), make("span", { class: "soft" }, `${call.answered} characters`)),
    ]);
    const columns = [["Time", "number"], ["Question"], ["Outcome"], ["Took and told", "number optional"]];
    return [this.table(columns, rows, "Calls of the assistant")];
  }
}

// <flm-audit>: {lines, verdict, intact, recorded}
export class Audit extends Part {
  parts({ lines, verdict, intact, recorded }) {
    const said = intact ? make("p", { class: recorded ? "good" : "soft" }, verdict) : this.broken(verdict);
    if (!lines.length) return [said];
    const rows = lines.map((line) => [
      make("td", { class: "number optional" }, String(line.n)),
      make("td", { class: "number" }, clock(line.time), make("span", { class: "optional soft" }, make("br"), day(line.time))),
      make("td", { class: "word" }, line.event),
      make("td", { class: "name" }, ...named(line.tag || "")),
      make("td", { class: "number" }, "value" in line ? `${shown(line.before)} → ${shown(line.value)}` : ""),
      make("td", { class: "optional" }, line.reason || line.by || line.client || "", ...this.said(line)),
    ]);
    const columns = [["Line", "number optional"], ["Time", "number"], ["Event"], ["Tag"], ["Change", "number"], ["By or why", "optional"]];
    return [said, this.table(columns, rows, "Audit trail")];
  }
  said({ asked_because: reason }) {
    return reason ? [make("span", { class: "soft clamp", title: reason }, "The assistant said: ", make("q", {}, reason))] : [];
  }
  broken(verdict) {
    return make("ul", {}, make("li", { class: "bad" },
      make("p", {}, make("strong", {}, `The trail is broken: ${verdict}`)),
      make("p", {}, "Somebody or something changed it. Keep the file as evidence, find out who, and start a new one with --audit.")));
  }
}

// <flm-notices>: what the server says of itself, newest last
export class Notices extends Part {
  parts(notices) {
    return [make("ul", {}, ...[...notices].reverse().map(({ time, what, text, bad }) => make("li", { class: bad ? "bad" : "" },
      make("p", { class: "row" }, make("strong", {}, what), make("span", { class: "soft" }, `${day(time)} ${clock(time)}`)), make("p", { class: "lines" }, text))))];
  }
}
