// One view of a panel: paints once per frame, stays at the bottom when it was there, and keeps its keys to itself.

import { Composer } from "./composer.js";
import { button, element, setChildren, setText } from "./dom.js";
import { HeaderView } from "./header_view.js";
import { copied, insertedBelow } from "./notebook.js";
import { TurnView, pendingView } from "./turn_view.js";

const AT_BOTTOM_PIXELS = 24;

export class PanelView {
  constructor(store, root, widgetManager) {
    this._store = store;
    this._root = root;
    this._turns = new Map();
    this._pending = new Map();
    this._frame = null;
    const say = (text) => setText(this._status, text);
    this._actions = {
      copy: async (text) => say((await copied(text)) ? "Copied." : "The browser does not allow copying."),
      insert: async (code) => {
        if (insertedBelow(widgetManager, root, code)) say("The code is in a cell below; it was not run.");
        else say((await copied(code)) ? "Copied: there is no notebook to put it into." : "It can't be copied here.");
      },
      consent: (call, isAllowed) => {
        store.consent(call, isAllowed);
        this._composer.focus();
      },
    };
    this._header = new HeaderView(store);
    this._log = element("div", { class: "log", role: "log", "aria-label": "Conversation", tabindex: "0" });
    this._composer = new Composer(store, say);
    this._problem = element("p");
    this._remedy = element("p", { class: "remedy" });
    this._error = element(
      "div",
      { class: "error", role: "alert" },
      this._problem,
      this._remedy,
      button("Dismiss", () => {
        store.dismissError();
        this._composer.focus();
      }),
    );
    this._status = element("p", { class: "status", role: "status" });
    this._connection = element("p", { class: "note" });
    this._hider = element("style", { class: "hider" });
    this.node = element(
      "section",
      {
        class: "mistral-chat",
        "aria-label": "Chat",
        // Lumino's name for: keys pressed in here are no shortcuts of JupyterLab.
        "data-lm-suppress-shortcuts": "true",
        onkeydown: (event) => event.stopPropagation(),
        onkeyup: (event) => event.stopPropagation(),
        onkeypress: (event) => event.stopPropagation(),
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => this._onDrop(event),
      },
      this._hider,
      this._header.node,
      this._connection,
      this._log,
      this._error,
      this._status,
      this._composer.node,
    );
    root.append(this.node);
    this._unsubscribe = store.subscribe(() => this._schedule());
    this._paint();
  }

  dispose() {
    this._unsubscribe();
    if (this._frame !== null) cancelAnimationFrame(this._frame);
    this.node.remove();
  }

  _schedule() {
    this._frame ??= requestAnimationFrame(() => {
      this._frame = null;
      this._paint();
    });
  }

  _paint() {
    const store = this._store;
    const log = this._log;
    const isAtBottom = log.scrollHeight - log.scrollTop - log.clientHeight < AT_BOTTOM_PIXELS;
    this._header.update();
    setText(this._connection, connectionText(store));
    this._paintTurns();
    log.setAttribute("aria-busy", String(store.running !== null));
    setText(this._problem, store.error ? `${store.error.kind}: ${store.error.problem}` : "");
    setText(this._remedy, store.error?.remedy ?? "");
    this._error.hidden = store.error === null;
    this._composer.update();
    this._hideTranscript();
    if (isAtBottom) log.scrollTop = log.scrollHeight;
  }

  _paintTurns() {
    const { turns, pending } = this._store;
    keepOnly(this._turns, turns.map((turn) => turn.id));
    keepOnly(this._pending, pending.map(({ draft }) => draft));
    const nodes = turns.map((turn) => {
      if (!this._turns.has(turn.id)) this._turns.set(turn.id, new TurnView(this._store, this._actions));
      const view = this._turns.get(turn.id);
      view.update(turn);
      return view.node;
    });
    for (const question of pending) {
      if (!this._pending.has(question.draft)) this._pending.set(question.draft, pendingView(question));
      nodes.push(this._pending.get(question.draft));
    }
    this._log.hidden = nodes.length === 0;
    setChildren(this._log, nodes);
  }

  /** The transcript below is for later: while this view can show the same, it is hidden, and it comes back with the view's end. */
  _hideTranscript() {
    const name = this._store.facts?.transcript;
    setText(this._hider, name && this._store.isConnected ? `.${CSS.escape(name)} { display: none; }` : "");
  }

  _onDrop(event) {
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    event.stopPropagation();
    this._composer.drop(event.dataTransfer.files);
  }
}

function keepOnly(views, keys) {
  const wanted = new Set(keys);
  for (const key of views.keys()) if (!wanted.has(key)) views.delete(key);
}

function connectionText(store) {
  if (!store.isAlive) return "The kernel has ended. What was said stays here to read; run the cell again for a new panel.";
  return store.isConnected ? "" : "Waits for the kernel …";
}
