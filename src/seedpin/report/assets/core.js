"use strict";
// The namespace, and what all scripts share: elements, numbers, copying, theme. Runs in the head, so that the
// chosen theme is there before anything is painted.

const seedpin = { run: null, check: null, player: null, review: null };

// h("p.note", {title: "x"}, "text", child): text is always text, never markup.
seedpin.h = function (spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false && child !== "") element.append(child);
  }
  return element;
};

seedpin.svg = function (tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

seedpin.byId = (id) => document.getElementById(id);

// The same words as the terminal uses; null is infinite.
seedpin.format = function (series, value) {
  if (value === null || value === undefined) return "∞";
  const [, digits, form] = /^\.(\d+)([fg])$/.exec(series.format);
  const number = series.unit === "%" ? 100 * value : value;
  const text = form === "f" ? number.toFixed(Number(digits)) : String(Number(number.toPrecision(Number(digits))));
  return series.unit ? `${text} ${series.unit}` : text;
};

seedpin.announce = function (text) {
  seedpin.byId("live").textContent = text;
};

seedpin.copy = async function (text, button) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = seedpin.h("textarea.unseen", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    copied = document.execCommand("copy");
    area.remove();
  }
  seedpin.announce(copied ? `Copied: ${text}` : `Copy it by hand: ${text}`);
  if (!button) return;
  const label = button.dataset.label || button.textContent;
  button.dataset.label = label;
  button.textContent = copied ? "Copied" : "Select and copy";
  setTimeout(() => (button.textContent = label), 1600);
};

// A command with its copy button.
seedpin.command = function (text, attributes) {
  const code = seedpin.h("code", null, text);
  const button = seedpin.h("button.copy", { type: "button", ...attributes }, "Copy");
  button.setAttribute("aria-label", `Copy: ${text}`);
  button.addEventListener("click", () => seedpin.copy(text, button));
  return seedpin.h("div.command", null, code, button);
};

seedpin.calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
seedpin.narrow = () => matchMedia("(max-width: 900px)").matches;

seedpin.stored = function (key, value) {
  try {
    if (value === undefined) return localStorage.getItem(`seedpin.${key}`);
    localStorage.setItem(`seedpin.${key}`, value);
  } catch {
    // A browser may refuse storage to files.
  }
  return value === undefined ? null : value;
};

seedpin.theme = function (choice) {
  if (choice) seedpin.stored("theme", choice);
  const theme = choice || seedpin.stored("theme") || "auto";
  document.documentElement.dataset.theme = theme;
  const button = seedpin.byId("theme");
  if (button) button.textContent = `Theme: ${theme}`;
  return theme;
};

seedpin.nextTheme = function () {
  const order = ["auto", "light", "dark"];
  const theme = seedpin.theme(order[(order.indexOf(seedpin.theme()) + 1) % order.length]);
  seedpin.announce(`Theme: ${theme}`);
};

seedpin.theme();

// Details arrive from data/<n>.js, by a script element: files may not be fetched from file://.
seedpin.loading = new Map();

seedpin.load = function (number) {
  if (!seedpin.loading.has(number)) {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    seedpin.loading.set(number, entry);
    const script = seedpin.h("script", { src: `data/${number}.js` });
    script.addEventListener("error", () => {
      seedpin.loading.delete(number);
      entry.reject(new Error(`data/${number}.js cannot be loaded: is the whole folder there?`));
    });
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  }
  return seedpin.loading.get(number).promise;
};

seedpin.receive = function (number, check) {
  const entry = seedpin.loading.get(number);
  if (entry) entry.resolve(check);
};
