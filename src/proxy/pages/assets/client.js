// devrun's live reload. Runs as the page's script and, by the same address, as the shared worker that holds the one event
// stream of all tabs: HTTP/1.1 allows a browser six connections to an origin, and each tab must not take one.
(() => {
  "use strict";
  const EVENTS = "/__devrun/events";

  // The newest state, from one stream, to whoever listens.
  const listen = (tell) => {
    const source = new EventSource(EVENTS);
    source.addEventListener("state", (event) => tell(JSON.parse(event.data)));
    return source;
  };

  if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
    const ports = new Set();
    let state = null;
    self.onconnect = ({ ports: [port] }) => {
      ports.add(port);
      port.onmessage = () => ports.delete(port);
      if (state) port.postMessage(state);
    };
    listen((now) => {
      state = now;
      for (const port of ports) port.postMessage(now);
    });
    return;
  }

  const tag = document.currentScript;
  const id = tag.dataset.id;
  const place = tag.dataset.page;
  const own = Boolean(place);
  const posted = tag.dataset.method && tag.dataset.method !== "GET";
  const KEY = "devrun:scroll";

  // Where the page was before it reloaded itself.
  try {
    const { url, x, y } = JSON.parse(sessionStorage.getItem(KEY) || "{}");
    sessionStorage.removeItem(KEY);
    if (url === location.href && !own) {
      const back = () => scrollTo(x, y);
      back();
      addEventListener("load", () => requestAnimationFrame(back), { once: true });
    } else if (url === location.href) {
      sessionStorage.setItem(KEY, JSON.stringify({ url, x, y }));
    }
  } catch {}

  // A page that some cache brings back as it was must not reload itself again and again for the same code.
  const MARK = "devrun:reloaded";
  const came = (wanted) => {
    if (!wanted) return false;
    try {
      const mark = `${wanted} ${location.href}`;
      if (sessionStorage.getItem(MARK) === mark) return true;
      sessionStorage.setItem(MARK, mark);
    } catch {}
    return false;
  };

  const arrived = () => {
    try {
      sessionStorage.removeItem(MARK);
    } catch {}
  };

  let gone = false;
  const reload = (wanted) => {
    if (gone || came(wanted)) return;
    gone = true;
    try {
      if (!own) sessionStorage.setItem(KEY, JSON.stringify({ url: location.href, x: scrollX, y: scrollY }));
    } catch {}
    // A page that answered a form comes back as a plain one: sending the form again is not ours to do.
    if (own && !location.hash) location.replace(location.href);
    else location.reload();
  };

  let banner = null;
  const show = (report) => {
    banner?.remove();
    banner = null;
    if (!report || own || window.top !== window) return;
    const host = (banner = document.createElement("devrun-banner"));
    const root = host.attachShadow({ mode: "closed" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(BANNER);
    root.adoptedStyleSheets = [sheet];
    const bar = document.createElement("div");
    bar.setAttribute("role", "alert");
    bar.lang = "en";
    bar.dir = "ltr";
    const text = document.createElement("span");
    text.dir = "auto";
    text.textContent = report.text;
    const link = document.createElement("a");
    link.href = "/__devrun/report";
    link.target = "_blank";
    link.textContent = "Show why";
    const close = document.createElement("button");
    close.setAttribute("aria-label", "Hide");
    close.textContent = "\u00d7";
    close.onclick = () => host.remove();
    bar.append(text, link, close);
    root.append(bar);
    document.documentElement.append(host);
  };

  const BANNER = `
    :host { all: initial; }
    div { position: fixed; inset-inline: 0; bottom: 0; z-index: 2147483647; display: flex; gap: .9em; align-items: center;
      padding: .6em 1em; font: 14px/1.4 system-ui, sans-serif; color: #fff; background: #8f1f28; box-shadow: 0 -1px 8px #0004; }
    span { flex: 1; min-width: 0; max-height: 4.2em; overflow: auto; overflow-wrap: anywhere; }
    @media print { div { display: none; } }
    a { color: #fff; text-underline-offset: 2px; white-space: nowrap; }
    button { all: unset; cursor: pointer; padding: 0 .35em; font-size: 1.3em; line-height: 1; border-radius: 4px; }
    button:focus-visible, a:focus-visible { outline: 2px solid #fff; outline-offset: 2px; }`;

  const hear = (state) => {
    // "draining": newer code is ready, but scripts of older pages still wait for answers that a reload would abort.
    const ready = state.state === "ready" || (own && state.state === "draining");
    if (ready && state.id !== id && !posted) reload(state.id);
    if (gone) return;
    if (state.id === id) arrived();
    show(state.banner);
  };

  const alone = () => {
    // No way to share: hold a stream only while somebody looks.
    let source = null;
    const follow = () => {
      if (document.hidden) source = source?.close();
      else source ??= listen(hear);
    };
    document.addEventListener("visibilitychange", follow);
    addEventListener("pagehide", () => (source = source?.close()));
    addEventListener("pageshow", follow);
    follow();
  };

  const lead = () => {
    // The tab that holds the lock holds the stream and tells the others.
    const channel = new BroadcastChannel("devrun");
    let state = null;
    channel.onmessage = ({ data }) => {
      if (data !== "ask") hear(data);
      else if (state) channel.postMessage(state);
    };
    channel.postMessage("ask");
    navigator.locks.request("devrun", () => new Promise(() => {
      listen((now) => {
        state = now;
        channel.postMessage(now);
        hear(now);
      });
    }));
  };

  const share = () => {
    const worker = new SharedWorker("/__devrun/client.js", { name: "devrun" });
    worker.port.onmessage = ({ data }) => hear(data);
    worker.onerror = fallBack;
    addEventListener("pagehide", (event) => event.persisted || worker.port.postMessage("gone"));
  };

  const fallBack = () => (navigator.locks && self.BroadcastChannel ? lead() : alone());
  const watchServer = () => {
    // devrun answers here only while there is no server: once somebody else does, it is the server.
    const source = new EventSource(EVENTS);
    source.onerror = () => source.readyState === EventSource.CLOSED && reload();
  };

  try {
    if (place === "listen") watchServer();
    else if (self.SharedWorker) share();
    else fallBack();
  } catch {
    fallBack();
  }
})();
