// What can go wrong between a client and main: one table of codes, causes and next steps. A FAILURE answer is an error
// only for those who ask for contents (control.ts); send() gives it as the Response it is. docs/errors.md lists every code.

/** Codes of client errors. */
export type ClientErrorCode = keyof typeof TEXTS;

/** An error with what happened, why, and what to do. `message` holds all of it. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;
  /** What to do about it. */
  readonly nextStep: string;

  constructor(code: ClientErrorCode, subject: string, cause?: unknown) {
    const { what, nextStep } = TEXTS[code];
    super(`${what.replace("{0}", () => subject)}. ${nextStep}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.nextStep = nextStep;
  }
}

/** Adopts an error of connecting; the only place where errors of the system become ours. */
export function connectError(socketPath: string, error: NodeJS.ErrnoException): ClientError {
  switch (error.code) {
    case "ENOENT":
      return new ClientError("SOCKET_MISSING", socketPath, error);
    case "ECONNREFUSED":
      return new ClientError("NOT_RUNNING", socketPath, error);
    case "EACCES":
    case "EPERM":
      return new ClientError("NO_PERMISSION", socketPath, error);
    default:
      return new ClientError("CONNECT_FAILED", `${socketPath}: ${error.message}`, error);
  }
}

/** Text and next step by code; `{0}` is the subject. */
export const TEXTS = {
  SOCKET_MISSING: {
    what: "cannot connect to {0}: there is no such socket",
    nextStep: "Is sozu running? Start it with ./sozu start; if it is, name its configuration with -c",
  },
  NOT_RUNNING: {
    what: "cannot connect to {0}: nobody listens on that socket",
    nextStep: "sozu has ended without removing it. Start it with ./sozu start",
  },
  NO_PERMISSION: {
    what: "cannot connect to {0}: permission denied",
    nextStep: "Use the user that started sozu: the socket is open to its owner only",
  },
  CONNECT_FAILED: {
    what: "cannot connect to {0}",
    nextStep: "Check command_socket in the configuration",
  },
  TIMEOUT: {
    what: "no answer within {0} ms",
    nextStep: "Wait longer with -t, or look into the log of sozu. The request may still be carried out",
  },
  CLOSED: {
    what: "the connection was closed before the answer came{0}",
    nextStep: "Look into the log of sozu. The request may have been carried out",
  },
  MESSAGE_TOO_LARGE: {
    what: "a message exceeds {0} bytes",
    nextStep: "Raise max_command_buffer_size in the configuration, on both sides",
  },
  BAD_ANSWER: {
    what: "the answer cannot be decoded{0}",
    nextStep: "Check that the socket belongs to sozu",
  },
  REFUSED: {
    what: "the proxy refused the request: {0}",
    nextStep: "Nothing has changed, unless the message says so",
  },
  BAD_REQUEST: {
    what: "the request cannot be encoded: {0}",
    nextStep: "Fill in every required field",
  },
} as const;
