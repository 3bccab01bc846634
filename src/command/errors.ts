// Why a command was refused: one closed set of codes, one table of texts, one factory. A refusal is a value, not an
// exception: applying a request returns either what changed or a CommandError. The texts of NOT_FOUND, EXISTS,
// NO_CHANGE and INVALID_VALUE are those of Sozu, which control planes are known to match on. docs/errors.md lists every
// code.

/** Codes of refused commands; `docs/errors.md` has an anchor for each. */
export type CommandErrorCode = keyof typeof TEXTS;

/** A refused command. `message` is complete and safe to show; nothing has changed. */
export class CommandError {
  readonly code: CommandErrorCode;
  readonly message: string;
  /** The field of the message that INVALID_VALUE is about, under its schema name; null for other codes. */
  readonly field: string | null;
  /** The reason alone for INVALID_VALUE, else the message. */
  readonly reason: string;

  constructor(code: CommandErrorCode, message: string, field: string | null, reason: string) {
    this.code = code;
    this.message = message;
    this.field = field;
    this.reason = reason;
  }
}

/** Makes a refusal. The arguments fill `{0}` and `{1}` of the code's text; control characters in them are replaced. */
export function commandError(code: CommandErrorCode, first = "", second = ""): CommandError {
  const text = TEXTS[code].replace("{0}", () => printable(first)).replace("{1}", () => printable(second));
  if (code !== "INVALID_VALUE") return new CommandError(code, text, null, text);
  return new CommandError(code, text, first, printable(second));
}

/** The texts by code, for docs/errors.md. */
export const TEXTS = {
  /** {0} kind, {1} address or id. */
  NOT_FOUND: "Did not find {0} with address or id '{1}'",
  /** {0} kind, {1} address, id or key. */
  EXISTS: "{0} '{1}' already exists",
  NO_CHANGE: "dispatching this request did not bring any change to the state",
  /** {0} field, {1} reason. */
  INVALID_VALUE: "Invalid value for field '{0}': {1}",
  /** {0} what. */
  NOT_SUPPORTED: "{0} is not supported yet",
  /** {0} protocol. */
  NOT_BUILT: "the listener is stored, but {0} traffic is not built yet: activation refused",
  /** {0} kind of the other one, {1} address. */
  ADDRESS_IN_USE: "the {0} at {1} is active: deactivate it first",
  EMPTY_REQUEST: "the request is empty or of a kind this version does not know",
  UNDISPATCHABLE: "the request does not change the state",
  MALFORMED: "the message cannot be decoded: {0}",
} as const;

const SHOWN_MAX = 200;

function printable(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f]/g, "?");
  return clean.length > SHOWN_MAX ? `${clean.slice(0, SHOWN_MAX)}...` : clean;
}
