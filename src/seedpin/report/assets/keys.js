"use strict";
// The keyboard, and the buttons of the page's head.

(function () {
  const help = seedpin.byId("help");
  const copyCommand = (name) => {
    const button = document.querySelector(`[data-command="${name}"]`);
    if (button) button.click();
    else seedpin.announce("There is nothing to decide here.");
  };
  const step = (by) => () => seedpin.player?.step(by);
  const jump = (frame) => {
    if (frame !== null && frame !== undefined) seedpin.player?.step(frame - seedpin.player.wanted);
  };
  const decide = (name) => (seedpin.review ? seedpin.review[name]() : copyCommand(name));

  const keys = {
    j: () => seedpin.list.move(1),
    k: () => seedpin.list.move(-1),
    " ": () => seedpin.player?.toggle(),
    ArrowLeft: step(-1),
    ArrowRight: step(1),
    Home: () => jump(0),
    End: () => jump((seedpin.player?.total ?? 1) - 1),
    f: () => jump(seedpin.check?.first),
    w: () => jump(seedpin.check?.worst),
    m: () => seedpin.player?.nextMode(),
    b: () => seedpin.player?.swap(),
    "+": () => seedpin.player?.zoom(2),
    "=": () => seedpin.player?.zoom(2),
    "-": () => seedpin.player?.zoom(0.5),
    0: () => seedpin.player?.zoom(0),
    a: () => decide("accept"),
    r: () => decide("reject"),
    u: () => seedpin.review?.undo(),
    n: () => seedpin.review?.next(),
    t: () => seedpin.nextTheme(),
    "/": () => seedpin.list.search.focus(),
    "?": () => help.showModal(),
    Escape: () => seedpin.narrow() && (location.hash = "#/"),
  };
  seedpin.MODES.forEach(([mode], k) => (keys[k + 1] = () => seedpin.player?.setMode(mode)));
  const pans = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const target = event.target;
    const typing = target.matches("input[type=text], input[type=search], textarea");
    if (typing) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (target.matches("select") || (target.matches("input[type=range]") && /^(Arrow|Home|End)/.test(event.key))) return;
    if (event.key === " " && target.matches("button, summary")) return;
    if (event.shiftKey && pans[event.key]) {
      event.preventDefault();
      seedpin.player?.pan(...pans[event.key]);
      return;
    }
    const action = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    if (!action) return;
    event.preventDefault();
    action(event);
  });

  seedpin.byId("theme").addEventListener("click", () => seedpin.nextTheme());
  seedpin.byId("help-open").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => {
    if (event.target === help) help.close();
  });
  seedpin.theme();
})();
