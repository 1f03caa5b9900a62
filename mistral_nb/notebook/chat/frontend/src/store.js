// What the page knows of a panel: the turns, and what was typed but not yet taken by the kernel.
//
// One store for all views of a panel, so that they agree. Messages of the kernel are numbered: one that comes late or twice is dropped,
// and after a gap everything is asked for anew.

import { Outbox } from "./outbox.js";

const ENDED = new Set(["done", "stopped", "failed"]);

export class Store {
  constructor(send, later) {
    const attempt = (message, buffers) => {
      try {
        send(message, buffers);
      } catch {
        this.lostKernel(); // a connection that is closed throws
      }
    };
    const hello = () => ({ kind: "hello", drafts: this.pending.map(({ draft }) => draft) });
    this._outbox = new Outbox(attempt, hello, later);
    this._number = null;
    this._listeners = new Set();
    this._drafts = 0;
    this._draftsPrefix = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this._stopped = new Set();
    this.turns = [];
    this.facts = null;
    this.pending = [];
    this.error = null;
    this.returned = null;
    this.isAlive = true;
  }

  /** Whether the kernel has told what there is. */
  get isConnected() {
    return this._number !== null;
  }

  get running() {
    return this.turns.find((turn) => turn.state === "running" && !this._stopped.has(turn.id)) ?? null;
  }

  get isBusy() {
    return this.pending.length > 0 || this.turns.some((turn) => !ENDED.has(this.stateOf(turn)));
  }

  /** The state of a turn as the reader has it: what was stopped here is stopped, whether the kernel has heard of it or not. */
  stateOf(turn) {
    return this._stopped.has(turn.id) && !ENDED.has(turn.state) ? "stopped" : turn.state;
  }

  subscribe(listener) {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  /** Ask the kernel for everything, and what became of the questions that it has not shown. */
  hello() {
    this._outbox.hello();
  }

  /** The page is closed: nothing is sent any more. */
  close() {
    this._outbox.close();
  }

  /** The connection to the kernel has changed: nothing more comes, unless the kernel answers a hello. */
  reconnect() {
    this.lostKernel();
    this.hello();
  }

  ask(text, images) {
    this._submit({ text, images }, { kind: "ask", text, images: images.map((image) => image.name) });
  }

  edit(turnId, text) {
    this._submit({ text, images: [] }, { kind: "edit", turn: turnId, text });
  }

  retry(turnId, model = null) {
    this._send({ kind: "retry", turn: turnId, model });
  }

  /** Freeze a turn at once, and have the kernel close its request. */
  stop(turnId) {
    this._stopped.add(turnId);
    this._send({ kind: "stop", turn: turnId });
    this._changed();
  }

  pin(turnId, isPinned) {
    this._send({ kind: "pin", turn: turnId, isPinned });
  }

  consent(callId, isAllowed) {
    this._send({ kind: "consent", call: callId, isAllowed });
  }

  chooseModel(model) {
    this._send({ kind: "model", model });
  }

  clear() {
    this._send({ kind: "clear" });
  }

  exportAs(format) {
    this._send({ kind: "export", format });
  }

  askForTranscript() {
    this._send({ kind: "transcript" });
  }

  dismissError() {
    this.error = null;
    this._changed();
  }

  /** Take what came back unsent, to put it where it was typed. */
  takeReturned() {
    const returned = this.returned;
    this.returned = null;
    return returned;
  }

  /** The kernel is gone: nothing more comes, and what it has not taken goes back. */
  lostKernel() {
    if (!this.isAlive) return;
    this.isAlive = false;
    this._outbox.restart();
    for (const turn of this.turns) if (!ENDED.has(turn.state)) this._stopped.add(turn.id);
    for (const { draft } of [...this.pending]) this._giveBack(draft);
    this._changed();
  }

  /** Take a message of the kernel; returns it when it is for a view and not for the store. */
  receive(message) {
    if (message.number === undefined) return this._receiveReply(message);
    if (message.kind === "snapshot") {
      this._outbox.told();
      this._settle(message.drafts ?? {});
      this.isAlive = true;
      this._number = message.number;
      this.turns = message.turns;
      this.facts = message.facts;
      this._forgetStopped();
      this._changed();
      // One that was overtaken, or that another page asked for, does not say what became of a question that was heard.
      if (this.pending.some(({ number }) => this._outbox.isHeard(number))) this.hello();
      return null;
    }
    if (this._number === null || message.number <= this._number) return null;
    if (message.number > this._number + 1 || !this._apply(message)) {
      this._number = null;
      this.hello();
      return null;
    }
    this._number = message.number;
    this._changed();
    return null;
  }

  _receiveReply(message) {
    if (message.kind === "refused") this._refuse(message.draft, message.error);
    else if (message.kind === "heard") this._heard(message);
    else return message;
    return null;
  }

  _refuse(draft, error) {
    this._giveBack(draft);
    this.error = error;
    this._changed();
  }

  /** A question that was heard is shown or refused before; where it is not, that was missed. */
  _heard(message) {
    if (!this._outbox.heard(message)) return;
    if (this.pending.some(({ number }) => number <= message.upTo)) this.hello();
  }

  /** What became of the questions that were asked after: null for those that have a turn, an error for those that were refused. */
  _settle(drafts) {
    for (const { draft } of [...this.pending]) {
      if (drafts[draft] === null) this.pending = this.pending.filter((waiting) => waiting.draft !== draft);
      else if (drafts[draft] !== undefined) this._refuse(draft, drafts[draft]);
    }
  }

  /** Whether the message fits to what is here. */
  _apply(message) {
    if (message.kind === "turn") {
      this.pending = this.pending.filter(({ draft }) => draft !== message.draft);
      const at = this.turns.findIndex((turn) => turn.id === message.turn.id);
      if (at < 0) this.turns = [...this.turns, message.turn];
      else this.turns = this.turns.with(at, message.turn);
      this._forgetStopped();
    } else if (message.kind === "piece") {
      return this._grow(message);
    } else if (message.kind === "dropped") {
      this.turns = this.turns.filter((turn) => !message.ids.includes(turn.id));
    } else if (message.kind === "facts") {
      this.facts = message.facts;
    }
    return true;
  }

  _grow({ turn: id, part: index, type, at, text }) {
    const turn = this.turns.find((candidate) => candidate.id === id);
    if (!turn) return false;
    if (this._stopped.has(id)) return true;
    const part = turn.parts[index] ?? { kind: type, text: "" };
    if (index > turn.parts.length || part.text.length !== at) return false;
    const parts = [...turn.parts];
    parts[index] = { kind: type, text: part.text + text };
    this.turns = this.turns.map((candidate) => (candidate === turn ? { ...turn, parts } : candidate));
    return true;
  }

  _forgetStopped() {
    for (const turn of this.turns) if (ENDED.has(turn.state)) this._stopped.delete(turn.id);
  }

  _submit({ text, images }, message) {
    this._drafts += 1;
    const question = { draft: `${this._draftsPrefix}-${this._drafts}`, text, images };
    this.pending = [...this.pending, question];
    this.error = null;
    if (this.isAlive) {
      const buffers = images.map((image) => image.content);
      question.number = this._outbox.post({ ...message, draft: question.draft }, buffers);
    } else {
      this._giveBack(question.draft);
    }
    this._changed();
  }

  _send(message) {
    if (this.isAlive) this._outbox.post(message, []);
  }

  _giveBack(draft) {
    const returned = this.pending.find((candidate) => candidate.draft === draft);
    if (!returned) return;
    this.pending = this.pending.filter((candidate) => candidate !== returned);
    this.returned = returned;
  }

  _changed() {
    for (const listener of this._listeners) listener();
  }
}
