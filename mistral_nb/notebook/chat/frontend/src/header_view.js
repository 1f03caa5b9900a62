// The panel's head: who answers, what it costs, what is shared, and what can be done with the whole conversation.

import { button, element, menu, setChildren, setText } from "./dom.js";

const FORMATS = [
  ["md", "Markdown (.md)"],
  ["html", "Web page (.html)"],
  ["ipynb", "Notebook (.ipynb)"],
  ["json", "Data (.json)"],
];

export class HeaderView {
  constructor(store) {
    this._store = store;
    this._shown = null;
    this._model = element("select", { "aria-label": "Model", onchange: () => store.chooseModel(this._model.value) });
    this._cost = element("span", { class: "cost" });
    this._export = menu("Export", FORMATS, (format) => store.exportAs(format));
    this._clear = button("Clear", () => this._clearOrAsk(), { onblur: () => this._armClear(false) });
    this._shared = element("div", { class: "shared" });
    this.node = element(
      "div",
      { class: "head" },
      element("div", { class: "bar" }, this._model, this._cost, this._export, this._clear),
      this._shared,
    );
  }

  update() {
    const facts = this._store.facts;
    this._export.hidden = this._store.turns.length === 0;
    this._clear.hidden = this._store.turns.length === 0;
    if (facts === this._shown || facts === null) return;
    this._shown = facts;
    setChildren(
      this._model,
      facts.models.map((name) => element("option", { value: name, selected: name === facts.model }, name)),
    );
    this._model.value = facts.model;
    setText(this._cost, facts.budget === null ? facts.cost : `${facts.cost} of ${facts.budget}`);
    this._cost.title = "What all answers of this panel cost so far";
    setChildren(this._shared, [...facts.frames.map(sharedFrame), facts.tools.length > 0 && sharedTools(facts.tools)]);
    this._shared.hidden = facts.frames.length + facts.tools.length === 0;
  }

  /** Clear at the second press: the conversation can't be brought back. */
  _clearOrAsk() {
    if (this._isArmed) this._store.clear();
    this._armClear(!this._isArmed);
  }

  _armClear(isArmed) {
    this._isArmed = isArmed;
    this._clear.textContent = isArmed ? "Clear all?" : "Clear";
  }
}

function sharedFrame({ name, label, text }) {
  return element(
    "details",
    {},
    element("summary", {}, `Shared: ${label}`),
    element("pre", { tabindex: "0", "aria-label": `What is sent of ${name}` }, text),
  );
}

function sharedTools(tools) {
  const names = tools.map(({ name, asks }) => (asks ? `${name} (asks first)` : name));
  return element("p", { class: "note" }, `Tools: ${names.join(", ")}`);
}
