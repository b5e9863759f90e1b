// The table of all runs: a click on a column's name sorts by it, words keep the rows that hold them.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const keyOf = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = /^-?[\d.]+(e-?\d+)?$/.test(text.split(" ").pop()) ? Number(text.split(" ").pop()) : NaN;
    const [, minutes, seconds] = text.match(/^(\d+):(\d\d)$/) || [];
    return minutes ? minutes * 60 + Number(seconds) : Number.isNaN(number) ? text : number;
  };
  table.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
    const cell = button.closest("th");
    const down = cell.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map((row) => [keyOf(row, cell.cellIndex), row]);
    const order = (a, b) => (typeof a === typeof b ? (a > b) - (a < b) : typeof a === "number" ? -1 : 1);
    rows.sort(([a], [b]) => (down ? order(b, a) : order(a, b))).forEach(([, row]) => body.append(row));
  }));
  document.getElementById("filter").addEventListener("input", ({ target }) => {
    const words = target.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
}
