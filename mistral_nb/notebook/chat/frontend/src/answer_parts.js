// The parts of an answer: text, thoughts, calls of tools. Each keeps its element, and renders again only when it has changed.

import { button, element, setChildren, setText } from "./dom.js";
import { rendered } from "./markdown.js";

export function partView(kind, actions) {
  if (kind === "call") return new CallView(actions);
  return kind === "thinking" ? new ThinkingView() : new TextView(actions);
}

class TextView {
  constructor(actions) {
    this.kind = "text";
    this.node = element("div", { class: "text" });
    this._actions = actions;
    this._text = null;
  }

  update({ text }) {
    if (text === this._text) return;
    this._text = text;
    this.node.replaceChildren(rendered(text));
    for (const table of this.node.querySelectorAll("table")) {
      const frame = element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" });
      table.replaceWith(frame);
      frame.append(table);
    }
    for (const block of this.node.querySelectorAll("pre")) this._frame(block);
  }

  _frame(block) {
    const code = block.textContent.replace(/\n$/, "");
    const bar = element(
      "div",
      { class: "code-bar" },
      button("Copy code", () => this._actions.copy(code)),
      button("Insert below", () => this._actions.insert(code)),
    );
    const frame = element("div", { class: "code" });
    block.replaceWith(frame);
    block.tabIndex = 0;
    frame.append(bar, block);
  }
}

class ThinkingView {
  constructor() {
    this.kind = "thinking";
    this._body = element("div", { class: "thought" });
    this.node = element("details", { class: "thinking" }, element("summary", {}, "Thinking"), this._body);
  }

  update({ text }) {
    setText(this._body, text);
  }
}

const CALL_STATES = {
  asking: "wants to run",
  running: "runs",
  done: "returned",
  failed: "failed",
  denied: "was denied",
  stopped: "was stopped",
};

class CallView {
  constructor(actions) {
    this.kind = "call";
    this._actions = actions;
    this._summary = element("summary");
    this._arguments = element("pre", { tabindex: "0", "aria-label": "Arguments" });
    this._result = element("pre", { class: "result", tabindex: "0", "aria-label": "Result" });
    this._details = element("details", {}, this._summary, this._arguments, this._result);
    this._consent = element("div", { class: "consent", role: "group", "aria-label": "Permission" });
    this.node = element("div", { class: "call" }, this._details, this._consent);
    this._state = null;
  }

  update({ id, name, arguments: given, state, result, seconds }) {
    const took = seconds >= 0.005 ? ` (${seconds.toFixed(2)} s)` : "";
    setText(this._summary, `${name} ${CALL_STATES[state] ?? state}${took}`);
    setText(this._arguments, given);
    setText(this._result, result);
    if (state === this._state) return;
    this._state = state;
    this.node.dataset.state = state;
    this._details.open = state === "asking" || state === "failed";
    setChildren(
      this._consent,
      state === "asking"
        ? [
            button("Allow", () => this._actions.consent(id, true), { class: "primary" }),
            button("Deny", () => this._actions.consent(id, false)),
          ]
        : [],
    );
  }
}
