"use strict";
// Decoded frames, by address. At most BUDGET bytes stay; what was used longest ago goes first.

seedpin.frames = (function () {
  const BUDGET = 32 * 2 ** 20;
  const kept = new Map();
  let held = new Set();
  let bytes = 0;

  async function decode(address) {
    const image = new Image();
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject, src: address }));
    // A bitmap says when its memory goes; colours stay as they are in the file.
    const bitmap = await createImageBitmap(image, { colorSpaceConversion: "none" });
    // Else the browser keeps what it decoded until it happens to collect the element.
    image.removeAttribute("src");
    return bitmap;
  }

  function drop(address, entry) {
    kept.delete(address);
    if (!entry.bitmap) return;
    bytes -= entry.bitmap.width * entry.bitmap.height * 4;
    entry.bitmap.close();
  }

  function shrink() {
    for (const [address, entry] of kept) {
      if (bytes <= BUDGET) return;
      if (entry.bitmap && !held.has(address)) drop(address, entry);
    }
  }

  return {
    // Addresses that must stay decoded: those on the screen or about to be.
    hold(addresses) {
      held = new Set(addresses);
    },
    get(address) {
      let entry = kept.get(address);
      if (entry) {
        kept.delete(address);
      } else {
        entry = { bitmap: null };
        entry.promise = decode(address).then(
          (bitmap) => {
            entry.bitmap = bitmap;
            bytes += bitmap.width * bitmap.height * 4;
            shrink();
            return bitmap;
          },
          () => {
            kept.delete(address);
            throw new Error(`${address} cannot be shown: is the whole folder there?`);
          },
        );
      }
      kept.set(address, entry);
      return entry.promise;
    },
    clear() {
      held = new Set();
      for (const [address, entry] of [...kept]) drop(address, entry);
    },
    get size() {
      return { frames: kept.size, bytes };
    },
  };
})();
