// Live parts: how htmx's extension for server-sent events connects. The connection is
// closed while the tab is hidden, because a browser has few for one server; it comes
// back by itself, and the page says while it is lost. What a reader is about to
// select, press or has the focus on is not taken away under the hand.
"use strict";
(() => {
  const state = document.querySelector("[data-live-state]");
  const pause = document.querySelector("[data-live-pause]");
  const store = "annals.paused";
  const waits = [500, 1000, 2000, 5000, 10000];
  let paused = sessionStorage.getItem(store) === "yes";
  const sources = new Set();

  const looks = {live: ["live", "ok"], paused: ["paused", "muted"], lost: ["connection lost", "bad"], connecting: ["connecting", "muted"]};
  function show(name, detail) {
    if (!state) return;
    const text = detail || looks[name][0];
    if (state.textContent !== text) state.textContent = text;
    state.className = "pill dot " + (name === "live" ? "live " : "") + looks[name][1];
    if (pause) {
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
    }
  }

  // Live is an EventSource that can be closed and opened again. Its readyState is
  // always open, so that nobody else tries to connect anew.
  class Live {
    readyState = EventSource.OPEN;
    #url; #inner = null; #listeners = []; #tries = 0; #timer = 0;
    constructor(url) {
      this.#url = url;
      sources.add(this);
      this.follow();
    }
    addEventListener(name, listener) {
      this.#listeners.push([name, listener]);
      this.#inner?.addEventListener(name, listener);
    }
    removeEventListener(name, listener) {
      this.#listeners = this.#listeners.filter(([n, l]) => n !== name || l !== listener);
      this.#inner?.removeEventListener(name, listener);
    }
    // follow opens or closes the connection, as the page wants it.
    follow() {
      clearTimeout(this.#timer);
      const wanted = !paused && !document.hidden && this.readyState === EventSource.OPEN;
      if (!wanted) {
        this.#inner?.close();
        this.#inner = null;
        if (paused) show("paused");
        return;
      }
      if (this.#inner) return;
      if (this.#tries === 0) show("connecting");
      const inner = this.#inner = new EventSource(this.#url);
      for (const [name, listener] of this.#listeners) inner.addEventListener(name, listener);
      inner.onopen = () => { this.#tries = 0; show("live"); };
      inner.addEventListener("live", () => show("live"));
      inner.addEventListener("trouble", (event) => show("lost", event.data));
      inner.onerror = () => {
        inner.close();
        if (this.#inner !== inner) return;
        this.#inner = null;
        show("lost");
        this.#timer = setTimeout(() => this.follow(), waits[Math.min(this.#tries++, waits.length - 1)]);
      };
    }
    close() {
      this.readyState = EventSource.CLOSED;
      this.follow();
      sources.delete(this);
    }
  }
  htmx.createEventSource = (url) => new Live(url);
  const followAll = () => sources.forEach((source) => source.follow());
  document.addEventListener("visibilitychange", followAll);
  pause?.addEventListener("click", () => {
    paused = !paused;
    sessionStorage.setItem(store, paused ? "yes" : "no");
    followAll();
  });
  if (paused) show("paused");

  // A change waits while the reader presses or selects something in the part.
  const held = new Map(); // the newest change of each part
  let pressed = null;
  const busy = (part) => {
    const selection = getSelection();
    return pressed && part.contains(pressed) || !selection.isCollapsed && part.contains(selection.anchorNode);
  };
  function release() {
    for (const [part, html] of held) {
      if (!part.isConnected) held.delete(part);
      else if (!busy(part)) { held.delete(part); change(part, html); }
    }
  }
  // place is where the focus is within a part: an id, or the way down to it.
  function place(part) {
    let element = document.activeElement;
    if (!element || element === part || !part.contains(element)) return null;
    const id = element.id, way = [];
    for (; element !== part; element = element.parentNode) way.unshift([...element.parentNode.children].indexOf(element));
    return {id, way};
  }
  const opened = (part) => [...part.querySelectorAll("details")].map((d) => [d.id || d.querySelector("summary")?.textContent.trim(), d.open]);
  function change(part, html) {
    const focus = place(part), open = new Map(opened(part));
    htmx.swap(part, html, {swapStyle: "innerHTML"});
    for (const details of part.querySelectorAll("details")) {
      const was = open.get(details.id || details.querySelector("summary")?.textContent.trim());
      if (was !== undefined) details.open = was;
    }
    if (!focus) return;
    const element = focus.id && document.getElementById(focus.id) || focus.way.reduce((e, i) => e?.children[i], part);
    element?.focus({preventScroll: true});
  }
  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    event.preventDefault();
    held.set(event.target, event.detail.data);
    release();
  });
  document.addEventListener("pointerdown", (event) => { pressed = event.target; });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => setTimeout(() => { pressed = null; release(); }));
  document.addEventListener("selectionchange", () => { if (getSelection().isCollapsed) release(); });
})();
