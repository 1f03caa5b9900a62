// Elements from code: text is always text, never HTML.

/** Return an element; `on…` properties are listeners, null and false are left out, strings become text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(label, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, label);
}

/** A button that opens a short list of choices; works by keyboard alone, and closes when one is chosen or Escape is pressed. */
export function menu(label, choices, onchoose) {
  const list = element("div", { class: "choices" });
  const details = element("details", { class: "menu" }, element("summary", {}, label), list);
  const close = () => {
    details.open = false;
    details.firstChild.focus();
  };
  for (const [value, text] of choices) {
    list.append(
      button(text, () => {
        close();
        onchoose(value);
      }),
    );
  }
  details.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && details.open) {
      event.stopPropagation();
      close();
    }
  });
  details.addEventListener("focusout", (event) => {
    if (!details.contains(event.relatedTarget)) details.open = false;
  });
  return details;
}

/** Replace an element's children only where they differ, so that focus and selection in the others stay. */
export function setChildren(parent, children) {
  const wanted = children.filter((child) => child !== null && child !== undefined && child !== false);
  wanted.forEach((child, index) => {
    if (parent.childNodes[index] !== child) parent.insertBefore(child, parent.childNodes[index] ?? null);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}
