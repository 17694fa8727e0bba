// Runs within a page: returns what is wrong with it, how large it and its files are, and how long it took. It may use
// nothing from outside, because only its text is sent to the browser.

export function inspect() {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];

  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) faults.push(`id ${id} is not unique`);

  const levels = all("h1, h2, h3, h4, h5, h6").map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) faults.push("there is not one h1");
  levels.forEach((level, place) => { if (level > (levels[place - 1] ?? 0) + 1) faults.push(`an h${level} comes after an h${levels[place - 1] ?? 0}`); });

  for (const control of all("input, select, textarea")) if (!control.labels?.length) faults.push(`${control.name} has no label`);
  for (const control of all("a, button, summary")) if (!control.textContent.trim()) faults.push(`a ${control.tagName} has no name`);
  for (const table of all("table")) if (!table.caption) faults.push("a table has no caption");
  for (const cell of all("th")) if (!cell.scope) faults.push("a th has no scope");
  for (const reference of all("[aria-labelledby]"))
    for (const id of reference.getAttribute("aria-labelledby").split(" ")) if (!document.getElementById(id)) faults.push(`no ${id} to be labelled by`);
  for (const name of ["main", "header", "footer", "nav"]) if (!document.querySelector(name)) faults.push(`there is no ${name}`);
  if (!document.documentElement.lang) faults.push("there is no language");
  if (document.querySelector("[style], script:not([src]), style")) faults.push("style or script stands in the page");
  for (const element of all("*")) for (const { name } of element.attributes) if (name.startsWith("on")) faults.push(`a handler ${name}`);

  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    const wide = all("body *").filter((element) => element.getBoundingClientRect().right > width + 1);
    faults.push(`it is wider than ${width}: ${wide.slice(0, 3).map((element) => `${element.tagName}.${element.getAttribute("class")}`)}`);
  }

  // WCAG 2.2, 1.4.3: 4.5 to 1, or 3 to 1 for large text.
  const channels = (color) => (/^rgba?\((.*)\)$/.exec(color)?.[1] ?? "0,0,0,0").split(/[ ,/]+/).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if ((channels(backgroundColor)[3] ?? 1) === 1) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = new Set();
  let lowest = 21;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".aloud, caption, svg")) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(style.color), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    lowest = Math.min(lowest, contrast);
    const size = parseFloat(style.fontSize);
    const enough = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (contrast < enough) faint.add(`${element.tagName}.${element.className} has a contrast of ${contrast.toFixed(2)}`);
  }
  faults.push(...faint);

  const [page] = performance.getEntriesByType("navigation");
  const files = performance.getEntriesByType("resource").filter((entry) => entry.name.startsWith(location.origin));
  const bytes = [page, ...files].reduce((sum, entry) => sum + entry.decodedBodySize, 0);
  return { faults, bytes, milliseconds: Math.round(page.domContentLoadedEventEnd), lowest };
}
