"use strict";
// The time line: a metric per frame with its limit. Ink is distance from the golden: the area between perfect
// and the value, whichever way up the metric is. A range input lies over the drawing, so that dragging,
// touch, keys and screen readers all work as they do everywhere.

seedpin.Curve = class {
  constructor(check, player) {
    const h = seedpin.h;
    this.check = check;
    this.player = player;
    this.series = check.series.find((one) => one.name === check.primary) || check.series[0] || null;
    this.plot = seedpin.svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.ticks = h("div.ticks", { "aria-hidden": "true" });
    this.marks = h("div.marks");
    this.head = h("div.playhead", { "aria-hidden": "true" });
    this.range = h("input", {
      type: "range", min: 0, max: player.total - 1, step: 1, value: 0, "aria-label": "Frame",
      oninput: () => { player.pause(); player.seek(Number(this.range.value)); },
    });
    this.area = h("div.area", null, this.plot, this.ticks, this.head, this.range);
    this.element = h("section.timeline", { "aria-label": "Time line" }, this.transport(), this.marks, this.area, this.axis());
    if (!this.series) this.element.classList.add("plain");
    if (this.series) this.draw();
    new ResizeObserver(() => this.fit()).observe(this.area);
    player.onframe((index) => this.show(index));
    player.onplaying = (playing) => {
      this.button.textContent = playing ? "Pause" : "Play";
      this.button.setAttribute("aria-pressed", String(playing));
    };
  }

  transport() {
    const h = seedpin.h;
    const { check, player } = this;
    this.button = h("button.play", { type: "button", "aria-pressed": "false", "aria-keyshortcuts": "Space", onclick: () => player.toggle() }, "Play");
    this.counter = h("output.counter", { "aria-live": "off" });
    this.value = h("output.value", { "aria-live": "off" });
    const speed = h("select", { "aria-label": "Speed", onchange: (event) => (player.speed = Number(event.target.value)) },
      [["0.25", "¼×"], ["0.5", "½×"], ["1", "1×"], ["2", "2×"]].map(([value, label]) => h("option", { value, selected: value === "1" }, label)));
    const metric = h("select.metric", { "aria-label": "Metric", onchange: (event) => this.choose(event.target.value) },
      check.series.map((one) => h("option", { value: one.name, selected: one === this.series, title: one.meaning }, one.label + (one.broken ? " (limit broken)" : ""))));
    const jump = (label, frame, key) => frame !== null && frame !== undefined &&
      h("button.quiet", { type: "button", "aria-keyshortcuts": key, onclick: () => player.step(frame - player.wanted) }, label);
    return h("div.transport", null,
      player.shown.length > 0 && [
        this.button,
        h("button.quiet", { type: "button", "aria-label": "One frame back", onclick: () => player.step(-1) }, "‹"),
        h("button.quiet", { type: "button", "aria-label": "One frame forward", onclick: () => player.step(1) }, "›"),
      ],
      this.counter, this.value, jump("First differing", check.first, "f"), jump("Worst", check.worst, "w"),
      h("span.gap"), check.series.length > 0 && metric, player.shown.length > 0 && speed);
  }

  axis() {
    const last = this.player.total - 1;
    const rate = this.check.media?.fps;
    const seconds = rate ? `${Number((this.player.total / rate).toPrecision(3))} s at ${rate} fps` : "";
    return seedpin.h("div.axis", { "aria-hidden": "true" }, seedpin.h("span", null, "0"), seedpin.h("span", null, seconds), seedpin.h("span", null, String(last)));
  }

  choose(name) {
    this.series = this.check.series.find((one) => one.name === name);
    this.draw();
    this.show(this.player.wanted);
  }

  x(index) {
    return (index + 0.5) / this.player.total;
  }

  // Lowest and highest value of the drawing. Infinite values lie on its edge.
  domain() {
    const { values, limit, higher, best } = this.series;
    const finite = [...values, limit].filter((value) => value !== null);
    if (!finite.length) return [0, 1];
    let low = Math.min(...finite);
    let high = Math.max(...finite);
    const pad = 0.14 * (high - low) || Math.abs(high) * 0.1 || 1;
    if (higher && best !== null) return [low - Math.max(pad, 1e-7), best];
    if (higher) return [Math.max(0, low - pad), high + pad];
    return [0, high + pad];
  }

  y(value, [low, high]) {
    if (value === null) return 0.03;
    return 1 - 0.92 * ((value - low) / (high - low)) - 0.03;
  }

  draw() {
    const { series, check } = this;
    const domain = this.domain();
    const perfect = series.higher ? 0.03 : 0.97;
    const points = series.values.map((value, index) => [1000 * this.x(index), 100 * this.y(value, domain)]);
    const half = 500 / this.player.total;
    const steps = points.map(([x, y]) => `L${x - half} ${y}L${x + half} ${y}`).join("");
    const outline = `M${points[0][0] - half} ${100 * perfect}${steps}L${points.at(-1)[0] + half} ${100 * perfect}`;
    this.plot.replaceChildren(
      seedpin.svg("path", { class: "fill", d: `${outline}Z` }),
      seedpin.svg("path", { class: "line", d: `M${steps.slice(1)}`, "vector-effect": "non-scaling-stroke" }));
    const place = (label, value, kind) => {
      const tick = seedpin.h(`span.${kind}`, null, label);
      tick.style.top = `${100 * this.y(value, domain)}%`;
      return tick;
    };
    const ticks = [];
    if (series.limit !== null) {
      const y = 100 * this.y(series.limit, domain);
      this.plot.append(seedpin.svg("path", { class: "limit", d: `M0 ${y}H1000`, "vector-effect": "non-scaling-stroke" }));
      ticks.push(place(`limit ${seedpin.format(series, series.limit)}`, series.limit, "limit"));
    }
    const worst = series.worst_value;
    if (worst !== null) ticks.push(place(seedpin.format(series, worst), worst, "tick"));
    if (series.higher && series.values.includes(null)) ticks.push(place("∞ equal", null, "tick"));
    this.ticks.replaceChildren(...ticks);
    this.marks.replaceChildren(...[["first", check.first], ["worst", series.worst_frame]].filter(([, frame]) => frame !== null && frame !== undefined).map(([label, frame]) => {
      const mark = seedpin.h(`button.mark.${label}`, { type: "button", "aria-label": `${label === "first" ? "First differing" : "Worst"} frame, ${frame}`, onclick: () => this.player.step(frame - this.player.wanted) },
        seedpin.h("span", null, label));
      mark.style.left = `${100 * this.x(frame)}%`;
      if (this.x(frame) > 0.85) mark.classList.add("late");
      return mark;
    }));
    if (check.first !== null && series.worst_frame !== null && Math.abs(this.x(check.first) - this.x(series.worst_frame)) < 0.12) {
      this.marks.classList.add("close");
    } else this.marks.classList.remove("close");
  }

  beyond(index) {
    if (!this.series || this.series.limit === null) return false;
    const { values, limit, higher } = this.series;
    const value = values[index] ?? (higher ? Infinity : 0);
    return higher ? value < limit : value > limit;
  }

  fit() {
    this.area.style.setProperty("--cell", `${Math.max(1, this.area.clientWidth / this.player.total)}px`);
  }

  show(index) {
    this.range.value = index;
    const value = this.series ? seedpin.format(this.series, this.series.values[index] ?? null) : "";
    const words = `frame ${index} of ${this.player.total}${value ? `, ${this.series.label} ${value}` : ""}`;
    this.range.setAttribute("aria-valuetext", words);
    this.counter.replaceChildren(seedpin.h("b", null, String(index)), ` / ${this.player.total - 1}`);
    this.value.textContent = value;
    this.value.classList.toggle("over", this.beyond(index));
    this.head.style.left = `${100 * this.x(index)}%`;
  }
};
