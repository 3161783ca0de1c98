"use strict";
// Golden, obtained and their difference, in lockstep: a frame is drawn on all sides at once or not at all.

seedpin.MODES = [
  ["side", "Side by side"],
  ["slider", "Slider"],
  ["blink", "Blink"],
  ["difference", "Difference"],
];
const AMPLIFICATIONS = [["auto", "to its largest"], ["1", "×1"], ["4", "×4"], ["16", "×16"], ["64", "×64"], ["any", "any difference"]];
const SIDES = ["golden", "obtained", "difference"];

seedpin.Player = class {
  constructor(check) {
    const media = check.media || { golden: [], obtained: [], difference: [], notes: [] };
    this.check = check;
    this.media = media;
    this.total = Math.max(check.total, media.golden.length, media.obtained.length, 1);
    this.rate = media.fps || 8;
    this.speed = 1;
    this.wanted = check.worst ?? check.first ?? 0;
    this.index = -1;
    this.listeners = [];
    this.view = { zoom: 1, x: 0, y: 0 };
    this.playing = false;
    this.comparable = media.golden.length > 0 && media.obtained.length > 0 &&
      String(media.golden_size) === String(media.obtained_size);
    this.shown = SIDES.filter((side) => (side === "difference" ? this.comparable : media[side].length > 0));
    this.element = this.shown.length ? this.build() : null;
  }

  // ---- what stands on the page

  build() {
    const h = seedpin.h;
    const words = { golden: "Golden", obtained: "Obtained", difference: "Difference" };
    this.canvases = {};
    this.empties = {};
    const panes = this.shown.map((side) => {
      const canvas = h("canvas", { role: "img", "aria-label": `${words[side]}, frame` });
      const empty = h("p.absent", { hidden: true });
      this.canvases[side] = canvas;
      this.empties[side] = empty;
      const caption = h("figcaption", null, h("span", null, words[side]), side === "difference" && this.legend());
      return h(`figure.pane.${side}`, null, caption, h("div.port", null, canvas, empty));
    });
    this.wipe = h("input.wipe", {
      type: "range", min: 0, max: 100, value: 50, step: "any", "aria-label": "Where golden ends and obtained begins",
      oninput: () => this.layout(),
    });
    this.stage = h("div.stage", { "data-shown": this.shown.length }, panes, this.comparable && this.wipe);
    this.stage.style.setProperty("--ratio", this.media.width / this.media.height);
    this.readout = h("output.readout", { "aria-live": "off" });
    const notes = this.media.notes.map((note) => h("p.note", null, note));
    if (!this.comparable && this.shown.length === 2) {
      notes.push(h("p.note", null, "Sizes differ, so there is no difference to show: nothing is resized or cropped."));
    }
    const element = h("section.viewer", { "aria-label": "Frames" }, this.tools(), this.stage, notes);
    this.listen();
    this.setMode(seedpin.narrow() && this.comparable ? "slider" : "side");
    return element;
  }

  tools() {
    const h = seedpin.h;
    this.modeButtons = new Map();
    const modes = this.comparable
      ? seedpin.MODES.map(([mode, label], k) => {
        const button = h("button", { type: "button", "aria-pressed": "false", "aria-keyshortcuts": String(k + 1), onclick: () => this.setMode(mode) }, label);
        this.modeButtons.set(mode, button);
        return button;
      })
      : [];
    this.amplify = h("select", { "aria-label": "Amplify the difference", onchange: () => this.redraw() },
      AMPLIFICATIONS.map(([value, label]) => h("option", { value }, label)));
    this.swapButton = h("button.quiet.swap", { type: "button", onclick: () => this.swap() }, "Swap");
    this.zoomText = h("output", { "aria-live": "off" }, "fit");
    const zoom = h("div.zoom", { role: "group", "aria-label": "Zoom" },
      h("button.quiet", { type: "button", "aria-label": "Zoom out", onclick: () => this.zoom(0.5) }, "−"),
      this.zoomText,
      h("button.quiet", { type: "button", "aria-label": "Zoom in", onclick: () => this.zoom(2) }, "+"));
    return h("div.bar", null,
      modes.length > 0 && h("div.modes", { role: "group", "aria-label": "Mode" }, modes),
      this.swapButton, this.readout,
      this.comparable && h("label.amplify", null, "Amplify ", this.amplify), zoom);
  }

  legend() {
    this.legendTop = seedpin.h("b");
    return seedpin.h("span.legend", { title: "largest difference of the channels" }, "0", seedpin.h("i", { "aria-hidden": "true" }), this.legendTop);
  }

  listen() {
    const stage = this.stage;
    let drag = null;
    stage.addEventListener("pointermove", (event) => {
      this.inspect(event);
      if (!drag) return;
      const box = drag.port.getBoundingClientRect();
      this.pan((event.clientX - drag.x) / box.width, (event.clientY - drag.y) / box.height);
      drag = { ...drag, x: event.clientX, y: event.clientY };
    });
    stage.addEventListener("pointerdown", (event) => {
      const port = event.target.closest(".port");
      if (port && this.view.zoom > 1) {
        drag = { port, x: event.clientX, y: event.clientY };
        port.setPointerCapture(event.pointerId);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (drag = null));
    stage.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    stage.addEventListener("dblclick", (event) => this.zoom(this.view.zoom > 1 ? 0 : 4, event));
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), event);
    }, { passive: false });
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(stage);
  }

  // ---- modes, zoom and pan

  setMode(mode) {
    if (!this.shown.length || (!this.comparable && mode !== "side")) return;
    this.mode = mode;
    this.stage.dataset.mode = mode;
    for (const [name, button] of this.modeButtons) button.setAttribute("aria-pressed", String(name === mode));
    this.swapButton.hidden = mode !== "blink";
    this.stage.dataset.side = "golden";
    clearInterval(this.blinking);
    if (mode === "blink" && !seedpin.calm()) this.blinking = setInterval(() => this.swap(), 500);
    this.layout();
    this.redraw();
  }

  nextMode() {
    const names = seedpin.MODES.map(([name]) => name);
    this.setMode(names[(names.indexOf(this.mode) + 1) % names.length]);
  }

  swap() {
    if (this.mode === "blink") this.stage.dataset.side = this.stage.dataset.side === "golden" ? "obtained" : "golden";
  }

  zoom(factor, event) {
    const port = event?.target?.closest?.(".port");
    const box = port?.getBoundingClientRect();
    const at = box ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height] : [0.5, 0.5];
    const zoom = factor === 0 ? 1 : Math.min(64, Math.max(1, this.view.zoom * factor));
    const scale = zoom / this.view.zoom;
    this.view = { zoom, x: at[0] - (at[0] - this.view.x) * scale, y: at[1] - (at[1] - this.view.y) * scale };
    this.pan(0, 0);
  }

  pan(dx, dy) {
    const { zoom } = this.view;
    const clamp = (value) => Math.min(0, Math.max(1 - zoom, value));
    this.view = { zoom, x: clamp(this.view.x + dx), y: clamp(this.view.y + dy) };
    this.layout();
  }

  layout() {
    if (!this.stage) return;
    const { zoom, x, y } = this.view;
    const port = [...this.stage.querySelectorAll(".port")].find((one) => one.clientWidth > 0);
    const pixels = port ? (port.clientWidth * zoom * devicePixelRatio) / this.media.width : 1;
    this.stage.classList.toggle("crisp", pixels >= 1);
    this.stage.classList.toggle("zoomed", zoom > 1);
    for (const canvas of Object.values(this.canvases)) {
      canvas.style.transform = `translate(${100 * x}%, ${100 * y}%) scale(${zoom})`;
    }
    this.stage.style.setProperty("--wipe", `${this.wipe.value}%`);
    this.zoomText.textContent = zoom === 1 ? "fit" : `×${Number(zoom.toPrecision(2))}`;
    const grow = pixels < 1 ? Math.ceil((1 / pixels - 1) / 2) : 0;
    if (grow !== this.grow) {
      this.grow = grow;
      this.redraw();
    }
  }

  inspect(event) {
    const port = event.target.closest?.(".port");
    const canvas = port?.querySelector("canvas");
    if (!canvas || canvas.hidden) return;
    const box = canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * canvas.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * canvas.height);
    if (x < 0 || y < 0 || x >= canvas.width || y >= canvas.height) return;
    const words = [`x ${x}  y ${y}`];
    if (!this.media.difference.length) {
      for (const side of ["golden", "obtained"]) {
        const values = this.pixel(side, x, y);
        if (values) words.push(`${side} ${values}`);
      }
    }
    this.readout.textContent = words.join("   ");
  }

  // Values of a pixel; null from file://, where pictures may be drawn but not read.
  pixel(side, x, y) {
    const canvas = this.canvases[side];
    if (!canvas || canvas.hidden || this.unreadable) return null;
    try {
      const data = canvas.getContext("2d").getImageData(x, y, 1, 1).data;
      return [...data].slice(0, this.media.alpha ? 4 : 3).join(" ");
    } catch {
      this.unreadable = true;
      return null;
    }
  }

  // ---- time

  onframe(listener) {
    this.listeners.push(listener);
  }

  addresses(index) {
    return this.shown
      .map((side) => [side, this.media[side][index]])
      .filter(([side, address]) => address && (side !== "difference" || this.media.difference.length));
  }

  async seek(index) {
    this.wanted = Math.min(this.total - 1, Math.max(0, index));
    if (this.index !== this.wanted && !this.busy) this.busy = this.follow();
    return this.busy;
  }

  step(by) {
    this.pause();
    return this.seek(this.wanted + by);
  }

  // Scrubbing is faster than decoding: only the frame that is wanted last is drawn.
  async follow() {
    while (this.index !== this.wanted && !this.gone) {
      const target = this.wanted;
      const sources = await this.decoded(target);
      if (target === this.wanted && !this.gone) this.draw(target, sources);
    }
    this.busy = null;
  }

  async decoded(index) {
    const entries = this.addresses(index);
    seedpin.frames.hold(entries.map(([, address]) => address));
    const sources = {};
    await Promise.all(entries.map(async ([side, address]) => {
      try {
        sources[side] = await seedpin.frames.get(address);
      } catch (error) {
        sources[side] = error;
      }
    }));
    return sources;
  }

  draw(index, sources) {
    this.index = index;
    for (const side of this.shown) {
      if (side === "difference") this.drawDifference(sources);
      else this.drawSide(side, index, sources[side]);
    }
    for (const listener of this.listeners) listener(index);
  }

  drawSide(side, index, image) {
    const canvas = this.canvases[side];
    const missing = image === undefined || image instanceof Error;
    canvas.hidden = missing;
    this.empties[side].hidden = !missing;
    if (missing) {
      this.empties[side].textContent = image ? image.message : `There is no frame ${index} here.`;
      return;
    }
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    const context = canvas.getContext("2d");
    if (this.media.alpha) context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0);
    canvas.setAttribute("aria-label", `${side}, frame ${index}`);
  }

  drawDifference(sources) {
    const { golden, obtained, difference } = sources;
    const canvas = this.canvases.difference;
    const usable = difference || (golden instanceof ImageBitmap && obtained instanceof ImageBitmap);
    canvas.hidden = !usable || difference instanceof Error;
    if (canvas.hidden || (this.mode !== "side" && this.mode !== "difference")) return;
    seedpin.heat.prepare(this.media.step, this.top(), this.grow || 0);
    seedpin.heat.draw(canvas, { golden, obtained, difference, alpha: this.media.alpha });
    canvas.setAttribute("aria-label", `difference of golden and obtained, frame ${this.index}`);
  }

  // The difference that gets the brightest colour, in the clip's units.
  top() {
    const { step, top } = this.media;
    const largest = this.check.series.find((one) => one.name === "max_abs")?.worst_value;
    const choice = this.amplify.value;
    let value = choice === "any" ? step : top / Number(choice);
    if (choice === "auto") value = largest || (this.media.difference.length ? 255 * step : top / 16);
    this.legendTop.textContent = `${Number(value.toPrecision(3))}${top > 2 ? " levels" : ""}`;
    return value;
  }

  redraw() {
    if (this.index < 0) return;
    this.index = -1;
    this.seek(this.wanted);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  pause() {
    if (this.playing) {
      this.playing = false;
      this.onplaying?.(false);
    }
  }

  async play() {
    if (this.total < 2 || !this.shown.length) return;
    this.playing = true;
    this.onplaying?.(true);
    let due = performance.now();
    while (this.playing && !this.gone) {
      const next = (this.wanted + 1) % this.total;
      const early = this.addresses((next + 1) % this.total).concat(this.addresses((next + 2) % this.total));
      await this.decoded(next);
      for (const [, address] of early) seedpin.frames.get(address).catch(() => {});
      due = Math.max(due + 1000 / (this.rate * this.speed), performance.now());
      await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      await new Promise((resolve) => requestAnimationFrame(resolve));
      if (this.playing) await this.seek(next);
    }
  }

  close() {
    this.gone = true;
    this.pause();
    clearInterval(this.blinking);
    this.observer?.disconnect();
    seedpin.frames.clear();
    // A canvas holds its pixels until it happens to be collected.
    for (const canvas of Object.values(this.canvases || {})) canvas.width = canvas.height = 0;
  }
};
