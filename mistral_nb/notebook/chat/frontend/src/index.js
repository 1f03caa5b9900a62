// The panel's two halves: one store per panel, and a view wherever it is shown.

import "./panel.css";
import { download, isTranscriptCurrent, putTranscript } from "./notebook.js";
import { PanelView } from "./panel_view.js";
import { Store } from "./store.js";

const JUPYTERS_OWN_UPDATE_MILLISECONDS = 300;

const later = (callback, milliseconds) => {
  const timer = setTimeout(callback, milliseconds);
  return () => clearTimeout(timer);
};

export default (wait = later) => {
  let store;
  return {
    initialize({ model }) {
      store = new Store((message, buffers) => model.send(message, undefined, buffers), wait);
      const receive = (message) => {
        const reply = store.receive(message);
        if (reply?.kind === "file") download(reply.name, reply.text);
        else if (reply?.kind === "transcript") keepTranscript(reply);
      };
      // Jupyter updates the output itself, but in a page that was loaded anew it no longer knows which one it is.
      const keepTranscript = (transcript) => {
        if (transcript.data) putTranscript(model.widget_manager, transcript);
        else wait(() => askForTranscript(transcript), JUPYTERS_OWN_UPDATE_MILLISECONDS);
      };
      const askForTranscript = (transcript) => {
        if (!isTranscriptCurrent(model.widget_manager, transcript)) store.askForTranscript();
      };
      const lost = () => store.reconnect();
      model.on("msg:custom", receive);
      model.on("comm:close", lost);
      model.on("comm_live_update", lost);
      store.hello();
      return () => {
        store.close();
        model.off("msg:custom", receive);
        model.off("comm:close", lost);
        model.off("comm_live_update", lost);
      };
    },
    render({ model, el }) {
      const view = new PanelView(store, el, model.widget_manager);
      return () => view.dispose();
    },
  };
};
