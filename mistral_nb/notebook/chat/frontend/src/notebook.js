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

/** Whether the notebook's output with the transcript is this revision; true also where there is no such output to keep. */
export function isTranscriptCurrent(widgetManager, { name, revision }) {
  const found = transcriptOutput(widgetManager, name);
  return found === null || found.html.includes(revision);
}

/** Put the transcript into its output, so that it is saved with the notebook. */
export function putTranscript(widgetManager, { name, data }) {
  const found = transcriptOutput(widgetManager, name);
  found?.outputs.set(found.index, { output_type: "display_data", data, metadata: {} });
}

function transcriptOutput(widgetManager, name) {
  for (const cell of widgetManager?.context?.model?.cells ?? []) {
    const outputs = cell.outputs;
    for (let index = 0; index < (outputs?.length ?? 0); index += 1) {
      const html = [outputs.get(index).data?.["text/html"] ?? ""].flat().join("");
      if (html.includes(`${name} `)) return { outputs, index, html };
    }
  }
  return null;
}
