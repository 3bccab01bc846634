// What forwarding fields and access lines say of a listener's scheme.

import type { Scheme } from "../policies/redirect.ts";
import { ascii } from "../wire/http1/bytes.ts";
import { Constant } from "../wire/http1/encoder.ts";

export interface SchemeTexts {
  /** As access lines name it. */
  readonly label: Uint8Array;
  readonly proto: Constant;
  readonly protoLine: Constant;
  readonly forwardedProtoFor: Constant;
}

export const SCHEME_TEXTS: Readonly<Record<Scheme, SchemeTexts>> = { http: textsOf("http"), https: textsOf("https") };

function textsOf(scheme: Scheme): SchemeTexts {
  return {
    label: ascii(scheme),
    proto: new Constant(scheme),
    protoLine: new Constant(`X-Forwarded-Proto: ${scheme}\r\n`),
    forwardedProtoFor: new Constant(`proto=${scheme};for="`),
  };
}
