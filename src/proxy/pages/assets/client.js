// devrun's live reload. The page loads this script, and so does the shared worker that holds the one event stream of all
// tabs: with HTTP/1.1 a browser opens six connections to an origin, and each tab must not take one.
(() => {
  "use strict";
  const EVENTS = "/__devrun/events";

  // Opens the event stream and passes each state to `onState`.
  const openStream = (onState) => {
    const source = new EventSource(EVENTS);
    source.addEventListener("state", (event) => onState(JSON.parse(event.data)));
    return source;
  };

  if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
    const ports = new Set();
    let lastState = null;
    self.onconnect = ({ ports: [port] }) => {
      ports.add(port);
      port.onmessage = () => ports.delete(port);
      if (lastState) port.postMessage(lastState);
    };
    openStream((state) => {
      lastState = state;
      for (const port of ports) port.postMessage(state);
    });
    return;
  }

  const tag = document.currentScript;
  const pageId = tag.dataset.id;
  const origin = tag.dataset.page;
  const isDevrunPage = Boolean(origin);
  const isFormResponse = tag.dataset.method && tag.dataset.method !== "GET";
  const SCROLL_KEY = "devrun:scroll";

  // Restore the scroll position from before the reload. An error page of devrun keeps it for the page that follows.
  try {
    const saved = sessionStorage.getItem(SCROLL_KEY);
    const { url, x, y } = JSON.parse(saved || "{}");
    sessionStorage.removeItem(SCROLL_KEY);
    if (url === location.href && !isDevrunPage) {
      const restore = () => scrollTo(x, y);
      restore();
      addEventListener("load", () => requestAnimationFrame(restore), { once: true });
    } else if (url === location.href) {
      sessionStorage.setItem(SCROLL_KEY, saved);
    }
  } catch {}

  // If a cache returns the old page after a reload, the page must not reload again and again for the same code.
  const RELOADED_KEY = "devrun:reloaded";
  const hasReloadedFor = (newId) => {
    if (!newId) return false;
    try {
      const mark = `${newId} ${location.href}`;
      if (sessionStorage.getItem(RELOADED_KEY) === mark) return true;
      sessionStorage.setItem(RELOADED_KEY, mark);
    } catch {}
    return false;
  };

  const clearReloadMark = () => {
    try {
      sessionStorage.removeItem(RELOADED_KEY);
    } catch {}
  };

  let isReloading = false;
  const reload = (newId) => {
    if (isReloading || hasReloadedFor(newId)) return;
    isReloading = true;
    try {
      const position = { url: location.href, x: scrollX, y: scrollY };
      if (!isDevrunPage) sessionStorage.setItem(SCROLL_KEY, JSON.stringify(position));
    } catch {}
    // An error page may answer a form. `replace` asks for the page with GET, so the form is not sent again.
    if (isDevrunPage && !location.hash) location.replace(location.href);
    else location.reload();
  };

  let banner = null;
  const showBanner = (report) => {
    banner?.remove();
    banner = null;
    if (!report || isDevrunPage || window.top !== window) return;
    const host = (banner = document.createElement("devrun-banner"));
    const root = host.attachShadow({ mode: "closed" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(BANNER_STYLE);
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

  const BANNER_STYLE = `
    :host { all: initial; }
    div { position: fixed; inset-inline: 0; bottom: 0; z-index: 2147483647; display: flex; gap: .9em; align-items: center;
      padding: .6em 1em; font: 14px/1.4 system-ui, sans-serif; color: #fff; background: #8f1f28; box-shadow: 0 -1px 8px #0004; }
    span { flex: 1; min-width: 0; max-height: 4.2em; overflow: auto; overflow-wrap: anywhere; }
    @media print { div { display: none; } }
    a { color: #fff; text-underline-offset: 2px; white-space: nowrap; }
    button { all: unset; cursor: pointer; padding: 0 .35em; font-size: 1.3em; line-height: 1; border-radius: 4px; }
    button:focus-visible, a:focus-visible { outline: 2px solid #fff; outline-offset: 2px; }`;

  const handleState = (state) => {
    // "draining": newer code is ready, but scripts of older pages wait for responses that a reload would abort.
    const isReady = state.state === "ready" || (isDevrunPage && state.state === "draining");
    if (isReady && state.id !== pageId && !isFormResponse) reload(state.id);
    if (isReloading) return;
    if (state.id === pageId) clearReloadMark();
    showBanner(state.banner);
  };

  // Holds a stream of this tab's own, but only while the tab is visible.
  const useOwnStream = () => {
    let source = null;
    const update = () => {
      if (document.hidden) source = source?.close();
      else source ??= openStream(handleState);
    };
    document.addEventListener("visibilitychange", update);
    addEventListener("pagehide", () => (source = source?.close()));
    addEventListener("pageshow", update);
    update();
  };

  // The tab that gets the lock holds the stream and passes each state to the other tabs.
  const shareByLock = () => {
    const channel = new BroadcastChannel("devrun");
    let lastState = null;
    channel.onmessage = ({ data }) => {
      if (data !== "ask") handleState(data);
      else if (lastState) channel.postMessage(lastState);
    };
    channel.postMessage("ask");
    navigator.locks.request("devrun", () => new Promise(() => {
      openStream((state) => {
        lastState = state;
        channel.postMessage(state);
        handleState(state);
      });
    }));
  };

  const shareByWorker = () => {
    const worker = new SharedWorker("/__devrun/client.js", { name: "devrun" });
    worker.port.onmessage = ({ data }) => handleState(data);
    worker.onerror = fallBack;
    addEventListener("pagehide", (event) => event.persisted || worker.port.postMessage("gone"));
  };

  const fallBack = () => (navigator.locks && self.BroadcastChannel ? shareByLock() : useOwnStream());

  // devrun answers on a server's socket only while the server does not run. If another response comes, it is the server's.
  const waitForServer = () => {
    const source = new EventSource(EVENTS);
    source.onerror = () => source.readyState === EventSource.CLOSED && reload();
  };

  try {
    if (origin === "listen") waitForServer();
    else if (self.SharedWorker) shareByWorker();
    else fallBack();
  } catch {
    fallBack();
  }
})();
