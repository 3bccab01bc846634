// What a template may show (spec 5.9): each variable with the statuses, places and number of times it is good for. The
// numbers are places in a table, so that compiled templates hold no names.
// Beyond the specification, 405, 417 and 431, which only this proxy gives, know PHASE and MESSAGE.

export const ROUTE = 0;
export const REQUEST_ID = 1;
export const REDIRECT_LOCATION = 2;
export const WWW_AUTHENTICATE = 3;
export const RETRY_AFTER = 4;
export const CLUSTER_ID = 5;
export const BACKEND_ID = 6;
export const DURATION = 7;
export const CAPACITY = 8;
export const PHASE = 9;
export const MESSAGE = 10;
export const SUCCESSFULLY_PARSED = 11;
export const PARTIALLY_PARSED = 12;
export const INVALID = 13;
export const TEMPLATE_NAME = 14;

/** One row of the table. */
export interface Variable {
  readonly name: string;
  /** Statuses whose answers know it; null: all. */
  readonly statuses: readonly number[] | null;
  /** Statuses without a row of their own in the specification know it too, and templates of redirects. */
  readonly others: boolean;
  readonly inHeader: boolean;
  readonly inBody: boolean;
  readonly once: boolean;
}

/** Statuses that the specification names; any other is an "unknown code". */
const NAMED = [301, 302, 308, 400, 401, 404, 408, 413, 421, 429, 502, 503, 504, 507];

/** The variables, indexed by their constants. */
export const VARIABLES: readonly Variable[] = [
  row("ROUTE", null, "header body"),
  row("REQUEST_ID", null, "header body"),
  row("REDIRECT_LOCATION", [301, 302, 308], "header body once others"),
  row("WWW_AUTHENTICATE", [401], "header once"),
  row("RETRY_AFTER", [429], "header once"),
  row("CLUSTER_ID", [429, 502, 503, 504, 507], "header body others"),
  row("BACKEND_ID", [502, 503, 504, 507], "header body"),
  row("DURATION", [408, 504], "header body"),
  row("CAPACITY", [413, 507], "header body"),
  row("PHASE", [400, 405, 413, 417, 431, 502, 507], "header body"),
  row("MESSAGE", [400, 405, 413, 417, 431, 502, 503, 507], "body once"),
  row("SUCCESSFULLY_PARSED", [400, 502], "body"),
  row("PARTIALLY_PARSED", [400, 502], "body"),
  row("INVALID", [400, 502], "body"),
  row("TEMPLATE_NAME", [], "header body once others"),
];

/** The number of a variable by its name without `%`, or -1. */
export function variableOf(name: string): number {
  return VARIABLES.findIndex((variable) => variable.name === name);
}

/** Whether answers of this status know the variable; null: the template of a redirect. */
export function isKnownTo(variable: Variable, status: number | null): boolean {
  if (variable.statuses === null) return true;
  if (status === null) return variable.others;
  return variable.statuses.includes(status) || (variable.others && !NAMED.includes(status));
}

function row(name: string, statuses: readonly number[] | null, traits: string): Variable {
  const has = new Set(traits.split(" "));
  return {
    name,
    statuses,
    others: has.has("others"),
    inHeader: has.has("header"),
    inBody: has.has("body"),
    once: has.has("once"),
  };
}
