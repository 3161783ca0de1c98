"use strict";
// The difference of two frames as a heat map. From file:// a page may draw pictures but not read their
// pixels, so nothing is read: "difference" is a blend mode, and an SVG filter takes the largest channel and
// looks its value up in a table of 256 colours. Both are exact in 8 bits.

seedpin.heat = (function () {
  // Inferno: uniform in lightness, so that it also reads without colour vision. Equal pixels are black.
  const STOPS = [
    [0, 0, 4], [27, 12, 65], [74, 12, 107], [120, 28, 109], [165, 44, 96],
    [207, 68, 70], [237, 105, 37], [251, 155, 6], [247, 209, 61], [252, 255, 164],
  ];
  const FAINTEST = 0.16;
  const scratch = [0, 1, 2].map(() => document.createElement("canvas"));

  function colour(share) {
    const place = share * (STOPS.length - 1);
    const below = Math.min(Math.floor(place), STOPS.length - 2);
    return STOPS[below].map((value, k) => value + (STOPS[below + 1][k] - value) * (place - below));
  }

  // One level of difference is `step`, in the clip's units; `top` is what gets the last colour.
  function table(step, top) {
    const rows = [[], [], []];
    for (let level = 0; level < 256; level += 1) {
      const share = Math.min(1, (level * step) / top);
      const rgb = level === 0 ? [0, 0, 0] : colour(FAINTEST + (1 - FAINTEST) * share);
      rgb.forEach((value, k) => rows[k].push((value / 255).toFixed(4)));
    }
    return rows.map((row) => row.join(" "));
  }

  // `grow` widens what differs by that many pixels, so that a lone one survives being drawn small.
  function prepare(step, top, grow) {
    const key = `${step} ${top} ${grow}`;
    const defs = seedpin.byId("filters");
    if (defs.dataset.key === key) return;
    defs.dataset.key = key;
    const one = (channel, result) => {
      const row = [0, 0, 0, 0, 0];
      row[channel] = 1;
      return seedpin.svg("feColorMatrix", {
        in: "SourceGraphic", values: [...row, ...row, ...row, 0, 0, 0, 1, 0].join(" "), result,
      });
    };
    const filter = seedpin.svg("filter", {
      id: "heat", x: 0, y: 0, width: "100%", height: "100%", "color-interpolation-filters": "sRGB",
    });
    filter.append(
      one(0, "red"), one(1, "green"), one(2, "blue"),
      seedpin.svg("feBlend", { in: "red", in2: "green", mode: "lighten", result: "both" }),
      seedpin.svg("feBlend", { in: "both", in2: "blue", mode: "lighten" }),
    );
    if (grow > 0) filter.append(seedpin.svg("feMorphology", { operator: "dilate", radius: grow }));
    const rows = table(step, top);
    filter.append(seedpin.svg("feComponentTransfer", {},
      ...["R", "G", "B"].map((name, k) => seedpin.svg(`feFunc${name}`, { type: "discrete", tableValues: rows[k] }))));
    defs.replaceChildren(filter);
  }

  // Setting a size, even the same one, makes a new canvas of it: memory for each frame.
  function sized(canvas, image) {
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    const context = canvas.getContext("2d");
    context.globalCompositeOperation = "source-over";
    return context;
  }

  function flat(canvas, image, background) {
    const context = sized(canvas, image);
    context.fillStyle = background;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0);
    return context;
  }

  function raw(golden, obtained, alpha) {
    const black = flat(scratch[0], golden, "#000");
    black.globalCompositeOperation = "difference";
    if (!alpha) {
      black.drawImage(obtained, 0, 0);
      return scratch[0];
    }
    // Over black and over white: what differs in opacity alone differs over one of them.
    flat(scratch[1], obtained, "#000");
    black.drawImage(scratch[1], 0, 0);
    const white = flat(scratch[1], golden, "#fff");
    flat(scratch[2], obtained, "#fff");
    white.globalCompositeOperation = "difference";
    white.drawImage(scratch[2], 0, 0);
    black.globalCompositeOperation = "lighten";
    black.drawImage(scratch[1], 0, 0);
    return scratch[0];
  }

  return {
    prepare,
    // Draws onto `canvas` what differs; `difference` is a picture of it, where there is one.
    draw(canvas, { golden, obtained, difference, alpha }) {
      const source = difference || raw(golden, obtained, alpha);
      const context = sized(canvas, source);
      if ("filter" in context) context.filter = "url(#heat)";
      else canvas.classList.add("filtered");
      context.globalCompositeOperation = "copy";
      context.drawImage(source, 0, 0);
    },
  };
})();
