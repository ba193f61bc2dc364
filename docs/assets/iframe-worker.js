// Browsers start no worker for a page that was opened from disk. There, search runs in a hidden frame instead.
"use strict";

class FrameWorker extends EventTarget {
  constructor(address) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    this.ready = new Promise((resolve) => {
      this.frame.addEventListener("load", () => this.start(address, resolve), { once: true });
    });
    this.frame.srcdoc = "<!doctype html><title>search</title>";
    document.body.append(this.frame);
  }

  start(address, resolve) {
    const inner = this.frame.contentWindow;
    inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
    const script = inner.document.createElement("script");
    script.addEventListener("load", () => resolve(inner));
    script.src = address;
    inner.document.head.append(script);
  }

  postMessage(data) {
    this.ready.then((inner) => inner.dispatchEvent(new inner.MessageEvent("message", { data })));
  }
}

if (location.protocol === "file:") {
  window.Worker = FrameWorker;
}
