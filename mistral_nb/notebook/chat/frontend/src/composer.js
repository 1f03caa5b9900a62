// Where questions are typed. Enter sends, Shift+Enter breaks the line, Escape stops; nothing typed or dropped here is lost.

import { button, element, setChildren } from "./dom.js";

const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MOST_IMAGE_BYTES = 5_000_000;
const MOST_IMAGE_BYTES_IN_ALL = 8_000_000; // a Jupyter server ends the connection at a message of 10 MiB
const MOST_IMAGES = 8;

export class Composer {
  constructor(store, say) {
    this._store = store;
    this._say = say;
    this._images = [];
    this._field = element("textarea", {
      rows: "2",
      "aria-label": "Question",
      placeholder: "Ask … (Enter sends, Shift+Enter breaks the line, Escape stops)",
      onkeydown: (event) => this._onKey(event),
      onpaste: (event) => this._onPaste(event),
    });
    this._chosen = element("input", {
      type: "file",
      accept: IMAGE_TYPES.join(),
      multiple: true,
      hidden: true,
      "aria-label": "Image files",
      onchange: () => this._add([...this._chosen.files]).then(() => (this._chosen.value = "")),
    });
    this._list = element("ul", { class: "images", "aria-label": "Images to send" });
    this._send = button("Send", () => this.send(), { class: "primary" });
    this._stop = button("Stop", () => this.stop());
    this._attach = button("Add image", () => this._chosen.click());
    this._buttons = element("div", { class: "bar" }, this._attach, this._chosen, this._stop, this._send);
    this.node = element("div", { class: "composer" }, this._list, this._field, this._buttons);
  }

  update() {
    const returned = this._store.takeReturned();
    if (returned) {
      this._field.value = [returned.text, this._field.value].filter(Boolean).join("\n");
      this._images = [...returned.images, ...this._images];
    }
    this._stop.hidden = this._store.running === null;
    this._send.disabled = !this._store.isAlive;
    this._showImages();
  }

  focus() {
    this._field.focus();
  }

  send() {
    if (!this._store.isAlive || (!this._field.value.trim() && this._images.length === 0)) return;
    this._store.ask(this._field.value, this._images);
    this._field.value = "";
    this._images = [];
    this._showImages();
    this.focus();
  }

  stop() {
    const running = this._store.running;
    if (running) this._store.stop(running.id);
    this.focus();
  }

  /** Take files that were dropped anywhere on the panel. */
  drop(files) {
    this._add([...files]);
  }

  _onKey(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.stop();
    }
  }

  _onPaste(event) {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    this._add(files);
  }

  async _add(files) {
    for (const file of files) {
      const refusal = this._whyNot(file);
      if (refusal) this._say(refusal);
      else this._images.push({ name: file.name || "image", content: await file.arrayBuffer() });
    }
    this._showImages();
  }

  /** The kernel looks at the bytes themselves; this only spares sending what it would refuse. */
  _whyNot(file) {
    const name = file.name || "The image";
    if (!IMAGE_TYPES.includes(file.type)) return `${name} is no image that can be sent: use PNG, JPEG, GIF or WebP.`;
    if (file.size > MOST_IMAGE_BYTES) return `${name} is larger than ${MOST_IMAGE_BYTES / 1e6} MB: make it smaller.`;
    const bytes = this._images.reduce((sum, image) => sum + image.content.byteLength, file.size);
    if (bytes > MOST_IMAGE_BYTES_IN_ALL || this._images.length === MOST_IMAGES) {
      return `At most ${MOST_IMAGES} images and ${MOST_IMAGE_BYTES_IN_ALL / 1e6} MB go with one question.`;
    }
    return null;
  }

  _showImages() {
    setChildren(
      this._list,
      this._images.map((image) => element("li", {}, image.name, button("Remove", () => this._remove(image)))),
    );
    this._list.hidden = this._images.length === 0;
  }

  _remove(image) {
    this._images = this._images.filter((candidate) => candidate !== image);
    this._showImages();
    this.focus();
  }
}
