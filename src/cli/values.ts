// Values of command-line options as the protocol wants them. What is wrong is said before anything is sent.

import { addressToMessage, parseAddress } from "../command/address.ts";
import type { SocketAddress, TlsVersion } from "../command/gen/sozu_pb.ts";
import { setEntry } from "../command/map-entry.ts";
import { foldWord, HEADER_POSITIONS, TLS_VERSIONS } from "../command/words.ts";
import { readNamedFile } from "../config/load.ts";
import { nearest } from "../config/suggest.ts";
import { CliError, UsageError } from "./errors.ts";

/** Reads `ip:port` or `[v6]:port`. @throws CliError */
export function readAddress(text: string): SocketAddress {
  const address = parseAddress(text);
  if (address !== null) return addressToMessage(address);
  throw new UsageError(`"${text}" is not an address`, "write ip:port, for example 127.0.0.1:1026 or [::1]:1026");
}

/** Reads `key=value,key2=value2`; keys and values are trimmed at the commas. @throws CliError */
export function readTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const part of text.split(",")) {
    const pair = part.trim();
    const at = pair.indexOf("=");
    if (at < 1) throw new UsageError(`"${pair}" is not a tag`, "write key=value,other=value");
    setEntry(tags, pair.slice(0, at), pair.slice(at + 1));
  }
  return tags;
}

/** The number of a word in its list, in whatever case and with whatever joint it is given. @throws CliError, or `Wrong` */
export function readWord<T extends number>(
  what: string,
  text: string,
  words: readonly string[],
  joint: "_" | "-",
  Wrong: typeof CliError = CliError,
): T {
  const word = foldWord(text, joint);
  const number = words.indexOf(word);
  if (number >= 0) return number as T;
  const meant = nearest(word, words);
  const next = meant === null ? `choose one of ${words.join(", ")}` : `did you mean ${meant}?`;
  throw new Wrong(`"${text}" is not a ${what}`, next);
}

/** Reads `position=name=value`; the value may hold more of the signs. @throws CliError */
export function readHeader(text: string): { position: 1 | 2 | 3; key: string; val: string } {
  const [position = "", key = "", ...rest] = text.split("=");
  if (key === "" || rest.length === 0) {
    throw new CliError(`"${text}" is not a header edit`, "write request=Name=value; an empty value removes the field");
  }
  const number = readWord("position of a header", position, HEADER_POSITIONS, "-") + 1;
  return { position: number as 1 | 2 | 3, key, val: rest.join("=") };
}

/** A template written out, or the text of the file behind `file://`. @throws CliError */
export function readTemplate(text: string): string {
  return text.startsWith("file://") ? readTemplateFile(text.slice("file://".length)) : text;
}

/** @throws CliError */
export function readTemplateFile(path: string): string {
  const text = readNamedFile(path);
  if (typeof text === "string") return text;
  throw new CliError(text.reason, "name a file with the whole response, status line first");
}

/** Reads `status=body` and `status=file://path` into a map; the statuses of `reset` get the empty text. @throws CliError */
export function readAnswers(answers: readonly string[], reset: readonly string[]): Record<string, string> {
  const map: Record<string, string> = {};
  for (const status of reset) setEntry(map, status, "");
  for (const text of answers) {
    const at = text.indexOf("=");
    const body = readTemplate(text.slice(at + 1));
    if (at < 1 || body === "") {
      throw new CliError(`"${text.slice(0, 40)}" is not an answer`, "write 503=file://path, or the response itself");
    }
    setEntry(map, text.slice(0, at), body);
  }
  return map;
}

/** Reads versions of TLS in any case; `TLSv1` is 1.0. @throws CliError */
export function readTlsVersions(texts: readonly string[]): TlsVersion[] {
  return texts.map((text) => {
    const word = text.toUpperCase() === "TLSV1" ? "TLS_V10" : text.toUpperCase();
    const number = (TLS_VERSIONS as readonly string[]).indexOf(word);
    if (number >= 0) return number as TlsVersion;
    throw new UsageError(`"${text}" is not a version of TLS`, "write TLS_V12 or TLS_V13");
  });
}

/** What was given of HSTS. */
export interface HstsOptions {
  readonly hstsMaxAge?: number;
  readonly hstsIncludeSubdomains?: boolean;
  readonly hstsPreload?: boolean;
  readonly hstsDisabled?: boolean;
  readonly hstsForceReplaceBackend?: boolean;
}

/** HSTS as the protocol has it, or undefined when nothing was given. @throws CliError */
export function readHsts(options: HstsOptions) {
  const { hstsMaxAge, hstsIncludeSubdomains, hstsPreload, hstsDisabled, hstsForceReplaceBackend } = options;
  const given = [hstsMaxAge, hstsIncludeSubdomains, hstsPreload, hstsForceReplaceBackend];
  const enabled = given.some((value) => value !== undefined);
  if (hstsDisabled === true && enabled) {
    throw new UsageError("--hsts-disabled cannot be combined with other HSTS options");
  }
  if (hstsDisabled === true) return { enabled: false };
  if (!enabled) return undefined;
  return {
    enabled: true,
    ...(hstsMaxAge === undefined ? {} : { maxAge: hstsMaxAge }),
    ...(hstsIncludeSubdomains === undefined ? {} : { includeSubdomains: hstsIncludeSubdomains }),
    ...(hstsPreload === undefined ? {} : { preload: hstsPreload }),
    ...(hstsForceReplaceBackend === undefined ? {} : { forceReplaceBackend: hstsForceReplaceBackend }),
  };
}
