// Fetches the page every few seconds and updates what is shown in place: focus, typed text, unfolded parts and the scroll
// position stay. The page works without this script.
"use strict";
(() => {
  const EVERY = 5000;
  const PATIENCE = 10000;
  const live = document.getElementById("live");
  const say = document.getElementById("live-say");
  const aloud = document.getElementById("live-aloud");
  const button = document.getElementById("live-pause");
  if (!live || !say || !aloud || !button || !window.fetch) return;
  let paused = false;
  let lost = false;
  let timer = 0;

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "") || "";
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

  // What a person has changed stays.
  const theirs = (element, name) =>
    (element.nodeName === "DETAILS" && name === "open") || (element.nodeName === "INPUT" && name === "value");

  function mendAttributes(old, fresh) {
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name) && !theirs(old, name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value && !theirs(old, name)) old.setAttribute(name, value);
  }

  function mend(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    mendAttributes(old, fresh);
    let next = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      let match = next;
      // A node with a key is looked for among the following nodes; any other node matches by position.
      if (key(wanted)) while (match && !alike(match, wanted)) match = match.nextSibling;
      if (match && alike(match, wanted)) {
        // Nodes in between are gone in the fresh page, or come later in it and are created there.
        while (next && next !== match) { const gone = next; next = next.nextSibling; gone.remove(); }
        mend(match, wanted);
        next = match.nextSibling;
      } else old.insertBefore(document.importNode(wanted, true), next);
    }
    while (next) { const gone = next; next = next.nextSibling; gone.remove(); }
  }

  function show(state, words, news) {
    live.dataset.is = state;
    if (say.textContent !== words) say.textContent = words;
    if (news !== undefined) aloud.textContent = news;
  }

  const selects = () => {
    const selection = window.getSelection();
    return Boolean(selection && !selection.isCollapsed && selection.toString());
  };

  async function refresh() {
    const response = await fetch(location.pathname + location.search, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // Another version has other scripts and styles.
    if (page.body.dataset.version !== document.body.dataset.version) return location.reload();
    if (paused || document.hidden || selects()) return;
    for (const id of ["facts", "live-at", "main"]) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (old && fresh) mend(old, fresh);
    }
    document.title = page.title;
    show("live", "Live, as of", lost ? "The gateway answers again." : undefined);
    lost = false;
  }

  async function turn() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    if (selects()) show("paused", "Paused while text is selected, as of");
    else
      try {
        await refresh();
      } catch {
        show("lost", "The gateway does not answer since", lost ? undefined : "The gateway does not answer.");
        lost = true;
      }
    clearTimeout(timer);
    timer = setTimeout(turn, EVERY);
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    if (paused) show("paused", "Paused, as of", "Paused.");
    else aloud.textContent = "Live.", turn();
  });
  document.addEventListener("visibilitychange", turn);
  show("live", "Live, as of");
  timer = setTimeout(turn, EVERY);
})();
