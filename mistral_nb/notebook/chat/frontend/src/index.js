// The panel's two halves: one store per panel, and a view wherever it is shown.

import "./panel.css";
import { download } from "./notebook.js";
import { PanelView } from "./panel_view.js";
import { Store } from "./store.js";

export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new Store((message, buffers = []) => model.send(message, undefined, buffers));
      const receive = (message) => {
        const reply = store.receive(message);
        if (reply?.kind === "file") download(reply.name, reply.text);
      };
      const lost = () => store.lostKernel();
      model.on("msg:custom", receive);
      model.on("comm:close", lost);
      model.on("comm_live_update", lost);
      store.hello();
      return () => {
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
