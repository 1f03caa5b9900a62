// What the panel does outside of itself: the clipboard, files, and cells of the notebook it stands in.

export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedThroughField(text); // a page that is not served over https has no clipboard
  }
}

function copiedThroughField(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("aria-hidden", "true");
  field.style.position = "fixed";
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return isDone;
}

export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Put code into a new cell below the one that shows the panel; false where there is no notebook (then it can be copied). */
export function insertedBelow(widgetManager, node, code) {
  const shared = widgetManager?.context?.model?.sharedModel;
  if (!shared?.insertCell) return false;
  const at = cellIndex(node);
  shared.insertCell(at === null ? shared.cells.length : at + 1, { cell_type: "code", source: code });
  return true;
}

function cellIndex(node) {
  const cell = node.closest(".jp-Cell");
  if (!cell) return null;
  const listed = cell.dataset.windowedListIndex;
  if (listed !== undefined) return Number(listed);
  const cells = [...cell.parentElement.children].filter((child) => child.classList.contains("jp-Cell"));
  return cells.indexOf(cell);
}
