// Tables that are sorted by a click on a column's name, or with a menu on narrow screens.
"use strict";
(() => {
  const value = (row, column) => row.cells[column].dataset.value;

  // Numbers come before words, missing values last in both orders; the sort is stable.
  const compare = (a, b, sign) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
  };

  const sort = (table, column, direction) => {
    const sign = direction === "descending" ? -1 : 1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(value(a, column), value(b, column), sign));
    table.tBodies[0].append(...rows);
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      if (index === column) head.setAttribute("aria-sort", direction);
      else head.removeAttribute("aria-sort");
    });
  };

  for (const table of document.querySelectorAll("table.board")) {
    const chooser = table.closest(".scroll").previousElementSibling.querySelector("select");
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(table, column, now ? (now === "ascending" ? "descending" : "ascending") : head.dataset.first);
        chooser.value = column;
      });
    });
    chooser.addEventListener("change", () => {
      const head = table.tHead.rows[0].cells[chooser.value];
      sort(table, Number(chooser.value), head.dataset.first);
    });
  }
})();
