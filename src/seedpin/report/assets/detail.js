"use strict";
// One check in full: first the answers, then the frames, then the evidence.

seedpin.detail = (function () {
  const h = seedpin.h;

  function section(title, ...children) {
    return h("section.block", null, h("h3", null, title), ...children);
  }

  function head(check) {
    const { row } = check;
    const badge = row.written ? `${row.label}, ${row.written}` : row.label;
    return h("header.head", null,
      h("a.back", { href: "#/" }, "‹ All checks"),
      h("p.crumb", null, row.path),
      h("h2", null, row.name, row.name === row.path ? "" : " ", h("span.check", null, row.check)),
      h(`p.badges`, null, h(`span.badge.tone-${row.tone}`, null, badge), h("span.device", null, row.device_class)),
      h("p.headline", null, check.headline));
  }

  function answers(check, player) {
    return h("dl.answers", null, check.summary.map((answer) => {
      const seekable = answer.frame !== null && check.total > 1;
      const value = seekable
        ? h("button.jump", { type: "button", onclick: () => player.step(answer.frame - player.wanted) }, answer.value)
        : answer.value;
      return h(`div.answer${answer.tone ? `.tone-${answer.tone}` : ""}`, null,
        h("dt", null, answer.question), h("dd.value", null, value), answer.note && h("dd.aside", null, answer.note));
    }));
  }

  function table(caption, titles, rows, kind) {
    return h("div.scroll", { tabindex: "0", role: "region", "aria-label": caption }, h(`table${kind ? `.${kind}` : ""}`, null,
      h("caption.unseen", null, caption),
      h("thead", null, h("tr", null, titles.map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", null, rows)));
  }

  function bar(share, tone) {
    const track = h(`span.bar-track${tone ? `.${tone}` : ""}`, { "aria-hidden": "true" }, h("i"));
    track.firstChild.style.width = `${100 * Math.min(1, share)}%`;
    return track;
  }

  function limits(check) {
    if (!check.limits.length) return null;
    const rows = check.limits.map((limit) => h(`tr${limit.ok ? "" : ".broken"}`, null,
      h("th", { scope: "row" }, limit.label),
      h("td.number", null, limit.value), h("td.number", null, limit.limit),
      h("td", null, limit.place), h("td.used", null,
        bar(limit.used === null ? 1 : limit.used / 2, limit.ok ? "ok" : "over"),
        h("span", null, limit.used === null ? "beyond" : `${Math.round(100 * limit.used)} %`))));
    return section("Limits", table("Limits", ["Metric", "Worst", "Limit", "Where", "Used"], rows, "limits"));
  }

  function measured(check, player) {
    if (check.measured.length) {
      const values = check.measured.map(([label, value, place]) => h("tr", null, h("th", { scope: "row" }, label), h("td.number", null, value), h("td", null, place)));
      return section("Measured", table("Worst value of each metric", ["Metric", "Worst", "Where"], values));
    }
    if (!check.series.length || (check.total < 2 && check.limits.length === check.series.length)) return null;
    const rows = check.series.map((one) => h("tr", null,
      h("th", { scope: "row", title: one.meaning }, one.label),
      h("td.number", null, seedpin.format(one, one.worst_value)),
      h("td", null, one.worst_frame === null || check.total < 2 ? "" : h("button.jump", { type: "button", onclick: () => player.step(one.worst_frame - player.wanted) }, `frame ${one.worst_frame}`))));
    return section("Measured", table("Worst value of each metric", ["Metric", "Worst", "Where"], rows));
  }

  function tensors(check) {
    if (!check.tensors.length) return null;
    const titles = ["Tensor", ...check.columns.map(([, title]) => title)];
    const rows = check.tensors.map((one) => h("tr", null, h("th", { scope: "row" }, one.name), check.columns.map(([key]) => h("td.number", null, one[key]))));
    return section("Tensors", table("Tensors", titles, rows));
  }

  // What a kind other than frames shows: sounds, pictures, and texts line by line.
  function panels(check) {
    if (!check.panels) return null;
    const words = { "+": "here", "-": "golden", "@": "place" };
    const shown = (form) => check.panels.panels.filter((one) => one.form === form).map((one) => {
      const caption = h("figcaption", null, one.label);
      if (one.form === "audio") return h("figure.panel", null, caption, h("audio", { controls: true, preload: "none", src: one.source, "aria-label": one.label }));
      if (one.form === "picture") return h("figure.panel", null, caption, h("img", { src: one.source, alt: one.label, loading: "lazy" }));
      const lines = one.rows.map(([mark, line]) => h(`span.line${words[mark] ? `.${words[mark]}` : ""}`, null, `${mark} ${line}`));
      return h("figure.panel.wide", null, caption, h("pre.text", { tabindex: "0" }, lines));
    });
    const notes = check.panels.notes.map((note) => h("p.note", null, note));
    const rows = ["audio", "picture", "text"].map(shown).filter((row) => row.length);
    return h("section.shown", { "aria-label": "Golden and obtained" }, rows.map((row) => h("div.panels", null, row)), notes);
  }

  function divergence(check) {
    const found = check.divergence;
    if (!found) return null;
    const lines = found.lines.map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, value)));
    const growth = found.growth.map((one) => h("li", null, h("span.place", null, one.label),
      bar(one.share ?? 0), h("span.number", null, one.text)));
    growth.push(h("li.scale", { "aria-hidden": "true" }, "relative distance, log scale", h("span", null, h("i", null, "1e-9"), h("i", null, "1"))));
    return section("Where it began", h("p.lead", null, found.sentence),
      growth.length > 1 && h("ol.growth", { "aria-label": "Relative distance from there to the frames, log scale" }, growth),
      lines.length > 0 && h("details", null, h("summary", null, "Records"), h("dl.pairs", null, lines)));
  }

  function environment(check) {
    const moved = check.environment.filter((row) => row.matters);
    const others = check.environment.filter((row) => !row.matters);
    const rows = (list) => list.map((row) => h("tr", null, h("th", { scope: "row" }, row.key), h("td", null, row.golden), h("td", null, row.here)));
    const parts = [];
    if (moved.length) parts.push(table("Settings that can move bits", ["Can move bits", "Golden", "Here"], rows(moved), "moved"));
    else if (check.agreed) parts.push(h("p.lead", null, check.agreed));
    if (others.length) parts.push(table("What explains no difference in bits: it cannot move any, or only one side recorded it", ["Explains nothing", "Golden", "Here"], rows(others), "harmless"));
    if (check.surroundings.length) {
      const all = check.surroundings.map((row) => h(`tr${row.same ? "" : ".differs"}`, null, h("th", { scope: "row" }, row.key), h("td", null, row.here)));
      parts.push(h("details", null, h("summary", null, `All ${check.surroundings.length} settings of this run`), table("Environment of this run", ["Setting", "Here"], all)));
    }
    return parts.length ? section("Environment", parts) : null;
  }

  function facts(check) {
    const rows = check.facts.map((row) => h(`tr${row.same ? "" : row.matters ? ".differs" : ".digest"}`, null, h("th", { scope: "row" }, row.key),
      h("td", null, row.golden), h("td", null, row.here, row.same ? "" : h("span.unseen", null, " (differs)"))));
    const pin = check.pin.map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, value)));
    return section("Facts", table("Facts", ["", "Golden", "Obtained"], rows), h("dl.pairs", null, pin));
  }

  function reasons(check) {
    const hints = check.hints.map((hint) => h("li.hint", null, h("b", null, "Looks like: "), hint));
    if (!check.reasons.length && !hints.length) return null;
    return section("Why", h("ul.reasons", null, check.reasons.map((reason) => h("li", null, reason)), hints));
  }

  function commands(check) {
    const list = check.commands.filter((one) => one.name !== "accept" || seedpin.review);
    return section("Commands", list.map((one) => h("div.labelled", null, h("p", null, one.title), seedpin.command(one.text, { "data-command": one.name }))));
  }

  function decide(check) {
    if (seedpin.review) return seedpin.review.bar(check);
    const accept = check.commands.find((one) => one.name === "accept");
    if (!accept) return null;
    return h("div.decide", null, h("p", null, "If this is meant, accept it:"), seedpin.command(accept.text, { "data-command": "accept" }));
  }

  return function (check) {
    const player = new seedpin.Player(check);
    const curve = check.total > 1 || player.total > 1 ? new seedpin.Curve(check, player) : null;
    const element = h("article.check-view", null,
      head(check), answers(check, player), decide(check), player.element, panels(check), curve && curve.element,
      h("div.evidence", null, divergence(check), limits(check), reasons(check), environment(check), measured(check, player), tensors(check), facts(check), commands(check)),
      check.message && h("details.message", null, h("summary", null, "The message in the terminal"), h("pre", { tabindex: "0" }, check.message)));
    return { element, player };
  };
})();
