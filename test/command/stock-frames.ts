// Reads test/command/stock-frames.txt: what the stock command line and a stock proxy said to each other.

import { readFileSync } from "node:fs";

/** One run of the stock command line. Frames are whole, with their prefix. */
export interface Exchange {
  readonly args: readonly string[];
  readonly requests: readonly Buffer[];
  /** Empty: left out of the recording. */
  readonly answers: readonly Buffer[];
  readonly exitCode: number;
}

export function readExchanges(): Exchange[] {
  const text = readFileSync(new URL("./stock-frames.txt", import.meta.url), "utf8");
  return text.split("\n\n").slice(1).map(readExchange);
}

function readExchange(block: string): Exchange {
  const lines = block.trimEnd().split("\n");
  const after = (mark: string): string[] => lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(2));
  const frames = (mark: string): Buffer[] => after(mark).map((digits) => Buffer.from(digits, "hex"));
  return {
    args: words(after("$ ")[0]!),
    requests: frames("> "),
    answers: frames("< "),
    exitCode: Number(after("= ")[0]),
  };
}

/** Splits as a shell does, as far as it is needed here: quotes, and `\r\n` for the ends of lines. */
function words(line: string): string[] {
  const found = line.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  return found.map((word) => word.replace(/'([^']*)'|"([^"]*)"/g, "$1$2").replaceAll("\\r\\n", "\r\n"));
}
