// The console's parts as custom elements, for this page and for others: each has one `data` property.
import { Approvals } from "./approvals.js";
import { Alarms, Audit, Calls, Health, Notices } from "./lists.js";
import { Trend } from "./trend.js";
import { Values } from "./values.js";

const parts = { alarms: Alarms, approvals: Approvals, audit: Audit, calls: Calls, health: Health, notices: Notices, trend: Trend, values: Values };
for (const [name, part] of Object.entries(parts)) customElements.define(`flm-${name}`, part);
