// Tables for people, drawn with box characters as the stock program draws them. Pure: cells in, text out.

/** Draws a table. Every row has as many cells as `header`; widths count code points. Ends with a newline. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map(width);
  for (const row of rows) {
    for (let column = 0; column < widths.length; column++) {
      widths[column] = Math.max(widths[column], width(row[column]));
    }
  }
  const rule = (left: string, middle: string, right: string): string =>
    `${left}${widths.map((size) => "─".repeat(size + 2)).join(middle)}${right}\n`;
  const line = (cells: readonly string[]): string =>
    `│${cells.map((cell, column) => ` ${cell}${" ".repeat(widths[column] - width(cell))} `).join("│")}│\n`;
  const body = rows.map(line).join(rule("├", "┼", "┤"));
  return `${rule("┌", "┬", "┐")}${line(header)}${rows.length > 0 ? rule("├", "┼", "┤") : ""}${body}${rule("└", "┴", "┘")}`;
}

function width(text: string): number {
  return [...text].length;
}
