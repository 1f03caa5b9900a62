// What the page says to the kernel, until the kernel has heard it.
//
// On its way to the kernel a message may be lost, doubled or overtaken. Each has a number; until the kernel says that it has it, the
// page asks, less and less often, how far it was heard, and sends again what the kernel misses. So a kernel that is busy for an hour
// finds short questions in its queue, and each image once. The kernel obeys each number of a page once, and in order. Only a hello and
// that question have none: they can't do harm twice, and must not wait for what was said before.

const FIRST_WAIT_MILLISECONDS = 1_000;
const LAST_WAIT_MILLISECONDS = 60_000;

export class Outbox {
  /** `later(callback, milliseconds)` returns what calls it off. */
  constructor(send, hello, later) {
    this._send = send;
    this._hello = hello;
    this._later = later;
    this._callOff = null;
    this.restart();
  }

  /** Forget what was not heard, and begin anew, as another page. */
  restart() {
    this._page = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
    this._number = 0;
    this._unheard = [];
    this._wantsAll = false;
    this._calm();
  }

  /** Ask for everything, until it is told. */
  hello() {
    this._wantsAll = true;
    this._calm();
    this._send(this._hello(), []);
  }

  /** Everything was told. */
  told() {
    this._wantsAll = false;
    this._calm();
  }

  /** Say something; returns its number. */
  post(message, buffers) {
    this._number += 1;
    const numbered = { ...message, page: this._page, number: this._number };
    this._unheard.push({ message: numbered, buffers });
    this._arm();
    this._send(numbered, buffers);
    return this._number;
  }

  /** The kernel has heard everything up to this number; whether that was news of this page. */
  heard({ page, upTo, isGap }) {
    if (page !== this._page) return false;
    this._unheard = this._unheard.filter(({ message }) => message.number > upTo);
    this._calm();
    // The kernel keeps what comes early: the first that it misses is enough.
    if (isGap && this._unheard.length > 0) this._send(this._unheard[0].message, this._unheard[0].buffers);
    return true;
  }

  /** Whether the kernel has said that it has what bears this number. */
  isHeard(number) {
    return !this._unheard.some(({ message }) => message.number === number);
  }

  /** Say no more. */
  close() {
    this._callOff?.();
    this._callOff = null;
  }

  /** Wait as shortly as in the beginning: the kernel has answered, or there is reason to believe that it can. */
  _calm() {
    this.close();
    this._wait = FIRST_WAIT_MILLISECONDS;
    this._arm();
  }

  _arm() {
    // A hello alone ends: a kernel that was busy all the time has it by now, and one that is gone is not to be written to for ever.
    // One that asks what became of a question goes on, as the question itself would.
    const asksAgain = () => this._wait < LAST_WAIT_MILLISECONDS || this._hello().drafts.length > 0;
    const isHopeful = this._unheard.length > 0 || (this._wantsAll && asksAgain());
    if (this._callOff || !isHopeful) return;
    this._callOff = this._later(() => this._again(), this._wait);
  }

  _again() {
    this._callOff = null;
    this._wait = Math.min(2 * this._wait, LAST_WAIT_MILLISECONDS);
    this._arm();
    if (this._wantsAll) this._send(this._hello(), []);
    if (this._unheard.length > 0) this._send({ kind: "progress", page: this._page }, []);
  }
}
