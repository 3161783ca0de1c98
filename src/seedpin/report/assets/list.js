"use strict";
// The list: filters, the chosen check, and the address (#/3) that names it.

seedpin.list = (function () {
  const items = [...document.querySelectorAll("#checks > li")];
  const chips = [...document.querySelectorAll(".chip")];
  const search = seedpin.byId("search");
  const device = seedpin.byId("device");
  const main = seedpin.byId("detail");
  let visible = [];

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.verdict);
    visible = [];
    for (const row of seedpin.run.checks) {
      const fits = (!verdicts.length || verdicts.includes(row.verdict)) &&
        (!device.value || row.device_class === device.value) && words.every((word) => row.search.includes(word));
      items[row.number].hidden = !fits;
      if (fits) visible.push(row.number);
    }
    const total = items.length;
    seedpin.byId("shown").textContent = visible.length === total ? "" : `${visible.length} of ${total} shown`;
    seedpin.byId("none").hidden = visible.length > 0;
  }

  function clear() {
    search.value = "";
    device.value = "";
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    filter();
  }

  function chosen() {
    const match = /^#\/(\d+)$/.exec(location.hash);
    return match && items[match[1]] ? Number(match[1]) : null;
  }

  function go(number) {
    if (location.hash !== `#/${number}`) location.hash = `#/${number}`;
  }

  function move(by) {
    if (!visible.length) return;
    const at = visible.indexOf(seedpin.number ?? -1);
    const next = at < 0 ? visible[0] : visible[at + by];
    if (next === undefined) seedpin.announce(by > 0 ? "This is the last check." : "This is the first check.");
    else go(next);
  }

  async function open() {
    let number = chosen();
    const named = number !== null;
    if (!named && !seedpin.narrow()) number = visible[0] ?? null;
    document.body.dataset.view = named ? "detail" : "list";
    if (number === seedpin.number) return;
    seedpin.number = number;
    seedpin.player?.close();
    seedpin.player = seedpin.check = null;
    for (const item of items) item.firstElementChild.removeAttribute("aria-current");
    if (number === null) {
      main.replaceChildren();
      return;
    }
    const link = items[number].firstElementChild;
    link.setAttribute("aria-current", "true");
    link.scrollIntoView({ block: "nearest" });
    let check;
    try {
      check = await seedpin.load(number);
    } catch (error) {
      if (seedpin.number === number) main.replaceChildren(seedpin.h("p.empty", { role: "alert" }, error.message));
      return;
    }
    if (seedpin.number !== number) return;
    const { element, player } = seedpin.detail(check);
    Object.assign(seedpin, { check, player });
    main.replaceChildren(element);
    main.scrollTop = 0;
    if (named) {
      scrollTo(0, 0);
      seedpin.announce(`${check.row.label}: ${check.row.name}, ${check.row.check}`);
    }
    player.layout();
    player.seek(player.wanted);
  }

  function mark(decided) {
    for (const row of seedpin.run.checks) {
      const decision = decided[row.id]?.decision || "";
      const item = items[row.number];
      item.dataset.decision = decision;
      const note = item.querySelector(".decision");
      note.hidden = !decision;
      note.textContent = decision === "accept" ? "accepted" : decision === "reject" ? "rejected" : "";
    }
  }

  search.addEventListener("input", filter);
  device.addEventListener("change", filter);
  seedpin.byId("reset").addEventListener("click", clear);
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  addEventListener("hashchange", open);
  return { filter, clear, go, move, open, mark, search };
})();

// Called by data/index.js.
seedpin.open = function (_, run) {
  seedpin.run = run;
  seedpin.list.filter();
  if (window.SEEDPIN_REVIEW) seedpin.review = seedpin.startReview(window.SEEDPIN_REVIEW);
  seedpin.review?.start();
  seedpin.list.open();
};
