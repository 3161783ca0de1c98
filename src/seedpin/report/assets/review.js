"use strict";
// Accept and reject, where the page comes from the review server (see report/html.py for the contract).

seedpin.startReview = function (settings) {
  const h = seedpin.h;
  const review = { decided: {}, total: seedpin.run.undecided, bars: new Map() };
  document.body.dataset.review = "on";

  async function ask(path, body) {
    const options = { headers: { "X-Seedpin-Token": settings.token }, cache: "no-store" };
    if (body) {
      options.method = "POST";
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    const response = await fetch(path, options);
    const text = await response.text();
    let data = null;
    try {
      data = JSON.parse(text);
    } catch {
      // Told by its status below.
    }
    if (!response.ok || !data) throw new Error([data?.error || `the server answered ${response.status}`, data?.hint].filter(Boolean).join("\n"));
    return data;
  }

  function take(state) {
    review.decided = state.decided || {};
    review.total = state.total ?? review.total;
    const done = Object.keys(review.decided).length;
    seedpin.byId("progress").hidden = false;
    seedpin.byId("progress-text").textContent = `${done} of ${review.total} decided`;
    Object.assign(seedpin.byId("progress-bar"), { max: Math.max(1, review.total), value: done });
    seedpin.list.mark(review.decided);
    if (review.current) review.show(review.current);
  }

  async function decide(check, decision, reason) {
    const { error, buttons } = review;
    error.textContent = "";
    if (decision === "accept" && !reason.trim()) {
      review.complain("Say why: a reason is kept with the golden.");
      review.reason.focus();
      return;
    }
    for (const button of buttons) button.disabled = true;
    try {
      take(await ask("api/decide", { id: check.row.id, decision, reason: reason.trim() }));
      const words = { accept: "Accepted", reject: "Rejected", undo: "Undone" };
      seedpin.announce(`${words[decision]}: ${check.row.name}. ${seedpin.byId("progress-text").textContent}.`);
    } catch (problem) {
      review.complain(`Not done: ${problem.message}`);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  review.complain = function (text) {
    review.error.textContent = text;
  };

  // The bar in a check's view; it changes with the decision.
  review.bar = function (check) {
    if (!check.row.decidable) {
      review.current = null;
      return null;
    }
    review.current = check;
    review.reason = h("input.reason", { type: "text", id: "reason", maxlength: 500, autocomplete: "off", placeholder: "why this is right now" });
    review.reason.addEventListener("keydown", (event) => {
      if (event.key === "Enter") review.accept();
      if (event.key === "Escape") review.reason.blur();
    });
    review.error = h("p.error", { role: "alert" });
    review.element = h("div.decide.live");
    review.show(check);
    return review.element;
  };

  review.show = function (check) {
    const found = review.decided[check.row.id];
    const next = h("button.quiet", { type: "button", onclick: () => review.next(), "aria-keyshortcuts": "n" }, "Next undecided");
    if (found) {
      const undo = h("button", { type: "button", "aria-keyshortcuts": "u", onclick: () => decide(check, "undo", "") }, "Undo");
      review.buttons = [undo];
      const words = found.decision === "accept" ? "Accepted" : "Rejected";
      review.element.dataset.decision = found.decision;
      review.element.replaceChildren(h("p.verdict", { id: "decision" }, h("b", null, words), found.reason ? `: ${found.reason}` : ""), undo, next, review.error);
      return;
    }
    delete review.element.dataset.decision;
    const accept = h("button.primary", { type: "button", "aria-keyshortcuts": "a", onclick: () => review.accept() }, "Accept");
    const reject = h("button", { type: "button", "aria-keyshortcuts": "r", onclick: () => review.reject() }, "Reject");
    review.buttons = [accept, reject];
    review.element.replaceChildren(h("label", { for: "reason" }, "Reason"), review.reason, accept, reject, next, review.error);
  };

  review.accept = () => review.current && !review.decided[review.current.row.id] && decide(review.current, "accept", review.reason.value);
  review.reject = () => review.current && !review.decided[review.current.row.id] && decide(review.current, "reject", review.reason.value);
  review.undo = () => review.current && review.decided[review.current.row.id] && decide(review.current, "undo", "");
  review.next = function () {
    const open = (row) => row.decidable && !review.decided[row.id];
    const rows = seedpin.run.checks;
    const from = review.current ? rows.findIndex((row) => row.id === review.current.row.id) : -1;
    const found = rows.slice(from + 1).find(open) || rows.find(open);
    if (found) seedpin.list.go(found.number);
    else seedpin.announce("All decided.");
  };
  review.start = () => ask("api/state").then(take, (problem) => {
    seedpin.byId("progress").hidden = false;
    seedpin.byId("progress-text").textContent = `The review server does not answer: ${problem.message}`;
  });
  return review;
};
