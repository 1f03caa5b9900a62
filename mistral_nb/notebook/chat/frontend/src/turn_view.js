// One question and what came of it, with what can be done about it.

import { partView } from "./answer_parts.js";
import { button, element, menu, setChildren, setText } from "./dom.js";

const WORKING = { queued: "Waits for the answer before it", running: "Answering …" };

export class TurnView {
  constructor(store, actions) {
    this._store = store;
    this._actions = actions;
    this._parts = [];
    this._models = "";
    this._question = element("div", { class: "question-text" });
    this._images = element("ul", { class: "images", "aria-label": "Images" });
    this._edit = button("Edit", () => this._beginEdit());
    this._pin = button("Pin", () => this._store.pin(this._turn.id, !this._turn.isPinned));
    this._questionBar = element("div", { class: "bar" }, this._edit, this._pin);
    this._asked = element("div", { class: "question" }, this._question, this._images, this._questionBar);
    this._answer = element("div", { class: "answer" });
    this._working = element("div", { class: "working" });
    this._leftOut = element("p", { class: "note" });
    this._note = element("p", { class: "warning" });
    this._problem = element("p");
    this._remedy = element("p", { class: "remedy" });
    this._error = element("div", { class: "error", role: "alert" }, this._problem, this._remedy);
    this._footer = element("p", { class: "note" });
    this._cancel = button("Cancel", () => this._store.stop(this._turn.id));
    this._copy = button("Copy answer", () => this._actions.copy(answerText(this._turn)));
    this._retry = button("Retry", () => this._store.retry(this._turn.id));
    this._retryWith = element("span");
    this._answerBar = element("div", { class: "bar" }, this._copy, this._retry, this._retryWith);
    this.node = element(
      "article",
      { class: "turn" },
      this._asked,
      this._answer,
      this._working,
      this._cancel,
      this._leftOut,
      this._note,
      this._error,
      this._footer,
      this._answerBar,
    );
  }

  update(turn) {
    const state = this._store.stateOf(turn);
    const models = this._store.facts?.models ?? [];
    if (turn === this._turn && state === this._state && models.join() === this._models) return;
    this._turn = turn;
    this._state = state;
    const isEnded = !(state in WORKING);
    this.node.dataset.state = state;
    this.node.setAttribute("aria-label", `Question ${turn.id}`);
    setText(this._question, turn.question);
    setChildren(this._images, turn.images.map(imageItem));
    this._images.hidden = turn.images.length === 0;
    this._pin.textContent = turn.isPinned ? "Unpin" : "Pin";
    this._pin.setAttribute("aria-pressed", String(turn.isPinned));
    this._updateParts(turn.parts);
    setText(this._working, state === "running" && turn.parts.length ? "" : (WORKING[state] ?? ""));
    this._cancel.hidden = state !== "queued";
    setText(this._leftOut, leftOutText(turn.leftOut));
    setText(this._note, turn.note || (state === "stopped" ? "Stopped before the end." : ""));
    this._error.hidden = turn.error === null;
    setText(this._problem, turn.error ? `${turn.error.kind}: ${turn.error.problem}` : "");
    setText(this._remedy, turn.error?.remedy ?? "");
    setText(this._footer, turn.footer);
    this._answerBar.hidden = !isEnded;
    this._edit.disabled = !isEnded;
    this._copy.hidden = answerText(turn) === "";
    if (models.join() !== this._models) {
      this._models = models.join();
      const choices = models.map((model) => [model, model]);
      this._retryWith.replaceChildren(menu("Retry with …", choices, (model) => this._store.retry(this._turn.id, model)));
    }
  }

  _updateParts(parts) {
    parts.forEach((part, index) => {
      if (this._parts[index]?.kind !== part.kind) {
        const view = partView(part.kind, this._actions);
        this._parts[index]?.node.remove();
        this._parts[index] = view;
        this._answer.insertBefore(view.node, this._answer.childNodes[index] ?? null);
      }
      this._parts[index].update(part);
    });
    for (const view of this._parts.splice(parts.length)) view.node.remove();
  }

  _beginEdit() {
    const field = element("textarea", { "aria-label": "Edited question", rows: "3" });
    field.value = this._turn.question;
    const end = () => {
      form.replaceWith(this._asked);
      this._edit.focus();
    };
    const send = () => {
      if (field.value.trim()) this._store.edit(this._turn.id, field.value);
      end();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        end();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      }
    });
    const form = element(
      "div",
      { class: "question" },
      field,
      element("p", { class: "note" }, "Sending drops this question's answer and everything below it."),
      element("div", { class: "bar" }, button("Send", send, { class: "primary" }), button("Cancel", end)),
    );
    this._asked.replaceWith(form);
    field.focus();
  }
}

/** A question that the kernel has not taken yet. */
export function pendingView({ text, images }) {
  return element(
    "article",
    { class: "turn", "aria-label": "Question being sent" },
    element("div", { class: "question" }, element("div", { class: "question-text" }, text)),
    images.length > 0 && element("ul", { class: "images", "aria-label": "Images" }, ...images.map(imageItem)),
    element("div", { class: "working" }, "Being sent; a busy kernel takes it when its cell has ended …"),
  );
}

function imageItem(image) {
  return element("li", {}, `${image.name} (${Math.ceil((image.bytes ?? image.content.byteLength) / 1000)} kB)`);
}

function answerText(turn) {
  const texts = turn.parts.filter((part) => part.kind === "text");
  return texts.map((part) => part.text).join("\n\n");
}

function leftOutText(count) {
  if (!count) return "";
  return `${count} older ${count === 1 ? "turn was" : "turns were"} left out: too long for the model's window.`;
}
