// "Did you mean": the nearest of some names by edits (insert, delete, replace, swap of neighbours), or null when none
// is near enough to be what was meant.

/** The nearest name within a third of its length, ignoring case and `-` for `_`; null when there is none. */
export function nearest(given: string, names: Iterable<string>): string | null {
  let best: string | null = null;
  let bestEdits = Number.POSITIVE_INFINITY;
  const wanted = fold(given);
  for (const name of names) {
    const most = Math.max(1, Math.floor(name.length / 3));
    if (Math.abs(name.length - given.length) > most) continue;
    const edits = distance(wanted, fold(name));
    if (edits <= most && edits < bestEdits) {
      best = name;
      bestEdits = edits;
    }
  }
  return best;
}

function fold(text: string): string {
  return text.toLowerCase().replaceAll("-", "_");
}

function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let edits = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) edits = Math.min(edits, before[j - 2]! + 1);
      row.push(edits);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}
