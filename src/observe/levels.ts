// Levels of log lines (spec 12.1), as numbers so that "is it enabled" is one comparison.

/** Levels; a line is written when its level is at most the level of its module. */
export const LEVEL_OFF = 0;
export const LEVEL_ERROR = 1;
export const LEVEL_WARN = 2;
export const LEVEL_INFO = 3;
export const LEVEL_DEBUG = 4;
export const LEVEL_TRACE = 5;

/** Names as printed, padded to five. Index: level. */
export const LEVEL_LABELS: readonly string[] = ["OFF  ", "ERROR", "WARN ", "INFO ", "DEBUG", "TRACE"];

const NAMES: readonly string[] = ["off", "error", "warn", "info", "debug", "trace"];

/** The level of a name, in any case; -1 when there is none of that name. */
export function parseLevel(name: string): number {
  return NAMES.indexOf(name.toLowerCase());
}
