// IP addresses as numbers. Strict: what two readers could take for two addresses is none (RFC 6943 3.1.1).

/** The value of a dotted IPv4 address, 0 to 2^32 - 1; -1 when the text is none. Leading zeros are refused. */
export function parseIpv4(text: string): number {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return -1;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i]!;
    // A leading zero means octal to some readers: refused (RFC 6943 3.1.1).
    if ((part.length > 1 && part.startsWith("0")) || Number(part) > 255) return -1;
    value = value * 256 + Number(part);
  }
  return value;
}

/** The eight groups of an IPv6 address without brackets and zone; null when the text is none. */
export function parseIpv6(text: string): number[] | null {
  let body = text;
  const tail: number[] = [];
  const lastColon = text.lastIndexOf(":");
  if (text.includes(".")) {
    const value = parseIpv4(text.slice(lastColon + 1));
    if (value < 0 || lastColon < 0) return null;
    tail.push(Math.floor(value / 65536), value % 65536);
    body = text.slice(0, lastColon + (text[lastColon - 1] === ":" ? 1 : 0));
  }
  const halves = body.split("::");
  if (halves.length > 2) return null;
  const left = parseGroups(halves[0]!);
  const right = halves.length === 2 ? parseGroups(halves[1]!) : [];
  if (left === null || right === null) return null;
  const given = left.length + right.length + tail.length;
  if (halves.length === 1) return given === 8 ? [...left, ...tail] : null;
  if (given > 7) return null;
  return [...left, ...new Array<number>(8 - given).fill(0), ...right, ...tail];
}

function parseGroups(text: string): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  for (const part of text.split(":")) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return null;
    groups.push(Number.parseInt(part, 16));
  }
  return groups;
}
