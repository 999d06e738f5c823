// <flm-approvals>: writes that wait; fires "decide" with {id, approve}, the page sends it. What is on the page stays
// where it is when another request comes, so that nobody clicks on what has just moved under the pointer.
import { Part, clock, empty, make, shown, unitOf } from "./parts.js";

// what has only just appeared cannot be clicked yet
const SETTLING_MS = 600;
const KEPT = 5;

export class Approvals extends Part {
  set data(requests) {
    this._data = requests;
    if (!this._list) this.begin();
    const waiting = requests.filter((request) => request.decision === "waiting").reverse();
    const past = requests.filter((request) => request.decision !== "waiting").slice(0, KEPT);
    this._none.hidden = waiting.length > 0;
    const known = new Map([...this._list.children].map((item) => [item.dataset.id, item]));
    const items = waiting.map((request) => known.get(request.id) || this.open(request));
    for (const item of [...this._list.children]) if (!items.includes(item)) item.remove();
    for (const item of items) if (!item.isConnected) this._list.append(item);
    this._past.replaceChildren(...past.map((request) => this.closed(request)));
  }
  get data() {
    return this._data;
  }
  begin() {
    this._none = empty("Nothing waits for you.");
    this._list = make("ul", { "aria-label": "Waiting writes" });
    this._past = make("ul", { "aria-label": "Decided writes" });
    this.shadowRoot.replaceChildren(this._none, this._list, this._past);
    this._ticking = setInterval(() => this.tick(), 1000);
  }
  disconnectedCallback() {
    clearInterval(this._ticking);
  }
  open(request) {
    const unit = unitOf(request.unit);
    const whom = request.principal === "local" ? "on this machine" : `for ${request.principal}`;
    const left = make("span", { class: "left" });
    const item = make("li", { class: "warn waiting", "data-id": request.id, "data-expires": request.expires },
      make("p", { class: "row" }, make("strong", {}, request.tag), left),
      ...(request.description ? [make("p", { class: "soft clamp" }, request.description)] : []),
      make("p", { class: "change" }, `${shown(request.before)}${unit} → ${shown(request.value)}${unit}`),
      this.why(request),
      make("p", { class: "soft" }, `asked by ${request.client || "an assistant"} ${whom} at ${clock(request.asked)}`),
      make("div", {},
        this.button(request, true, `Approve writing ${shown(request.value)}${unit} to ${request.tag}`),
        this.button(request, false, `Refuse writing to ${request.tag}`)));
    this.count(item);
    return item;
  }
  why({ reason }) {
    if (!reason) return make("p", { class: "soft" }, "The assistant gives no reason.");
    return make("p", { class: "why" }, make("span", { class: "soft" }, "The assistant says, unchecked: "), make("q", {}, reason));
  }
  button(request, approve, label) {
    const decide = (event) => {
      for (const button of event.target.parentElement.querySelectorAll("button")) button.disabled = true;
      this.dispatchEvent(new CustomEvent("decide", { bubbles: true, composed: true, detail: { id: request.id, approve } }));
    };
    const button = make("button", { class: approve ? "decide yes" : "decide", type: "button", click: decide, "aria-label": label }, approve ? "Approve" : "Refuse");
    button.disabled = approve;
    if (approve) setTimeout(() => { button.disabled = false; }, SETTLING_MS);
    return button;
  }
  again(id) {
    // the decision did not reach the server
    for (const item of this._list?.children || []) {
      if (item.dataset.id === id) for (const button of item.querySelectorAll("button")) button.disabled = false;
    }
  }
  tick() {
    for (const item of this._list.children) this.count(item);
  }
  count(item) {
    const seconds = Math.ceil((Date.parse(item.dataset.expires) - (Date.now() + (this.skew || 0))) / 1000);
    item.querySelector(".left").textContent = seconds > 0 ? `${seconds} s left` : "expired";
    if (seconds <= 0) for (const button of item.querySelectorAll("button")) button.disabled = true;
  }
  closed(request) {
    const by = request.by ? ` by ${request.by}` : "";
    const said = { done: "approved and sent", approved: "approved", refused: "refused", expired: "expired: nobody decided" }[request.decision] || request.decision;
    return make("li", {}, `${request.tag}: ${shown(request.before)} → ${shown(request.value)} — ${said}`, make("span", { class: "soft" }, `${by} · ${clock(request.asked)}`));
  }
}
