// Training curves: hovering highlights a line, a click on a name hides its lines.
"use strict";
(() => {
  for (const figure of document.querySelectorAll(".curves figure")) {
    const runs = [...figure.querySelectorAll(".run")];
    const readout = figure.querySelector(".readout");
    const hint = readout.textContent;

    const highlight = (chosen) => {
      figure.classList.toggle("lighting", chosen.length > 0);
      for (const run of runs) run.classList.toggle("lit", chosen.includes(run));
      const labels = [...new Set(chosen.map((run) => run.dataset.label))];
      readout.textContent = labels.join(" · ") || hint;
    };

    for (const run of runs) {
      run.addEventListener("pointerenter", () => highlight([run]));
      run.addEventListener("pointerleave", () => highlight([]));
    }
    for (const name of figure.querySelectorAll(".legend button")) {
      const own = runs.filter((run) => run.dataset.variant === name.dataset.variant);
      for (const event of ["pointerenter", "focus"]) name.addEventListener(event, () => highlight(own));
      for (const event of ["pointerleave", "blur"]) name.addEventListener(event, () => highlight([]));
      name.addEventListener("click", () => {
        const shown = name.getAttribute("aria-pressed") !== "true";
        name.setAttribute("aria-pressed", shown);
        for (const run of own) run.classList.toggle("off", !shown);
      });
    }
  }
})();
