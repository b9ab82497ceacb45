// Quality against cost: the buttons select the cost for all charts.
"use strict";
(() => {
  const buttons = [...document.querySelectorAll(".pareto > .buttons button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", other === button);
      for (const chart of document.querySelectorAll(".pareto .cost")) {
        chart.hidden = chart.dataset.cost !== button.dataset.cost;
      }
    });
  }
})();
