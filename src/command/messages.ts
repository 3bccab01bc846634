// Protobuf at the edge of the command room: decoding without exceptions, encoding into frames, and short makers for the
// messages that main and clients build most. Unknown fields are kept and ignored, as in Sozu (CP-03).

import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { encodeFrame } from "./framing.ts";
import type { Request, Response, ResponseContent } from "./gen/sozu_pb.ts";
import { EventKindSchema, RequestSchema, ResponseSchema, ResponseStatus } from "./gen/sozu_pb.ts";

/** The value of the `requestType` member of a Request: `{ case: "addCluster", value: {...} }`. */
export type RequestType = Request["requestType"];
/** The value of the `contentType` member of a ResponseContent. */
export type ContentType = ResponseContent["contentType"];

/** Decodes a body; null when it is not a message of this kind. `bytes` may be a view that is reused later. */
export function decodeMessage<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> | null {
  try {
    // A copy: byte fields and unknown fields of the message are views of what was decoded.
    return fromBinary(schema, bytes.slice());
  } catch {
    // Truncated, wrong wire type, bad UTF-8, nested too deep: the peer's mistake, told by the null.
    return null;
  }
}

/** Encodes a message as a frame; null when it would exceed `maxBytes`. Throws when a required field is missing. */
export function encodeMessage<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  maxBytes?: number,
): Uint8Array | null {
  return encodeFrame(toBinary(schema, message), maxBytes);
}

/** A Request from its oneof: `request({ case: "status", value: {} })`. */
export function request(requestType: MessageInitShape<typeof RequestSchema>["requestType"] & object): Request {
  return create(RequestSchema, { requestType });
}

/** `BACKEND_DOWN`; `EVENT_99` for one that this version does not know. */
export function eventName(kind: number): string {
  return EventKindSchema.values.find(({ number }) => number === kind)?.name ?? `EVENT_${kind}`;
}

/** A final answer that tells success. */
export function okResponse(message: string, content?: ContentInit): Response {
  return response(ResponseStatus.OK, message, content);
}

/** A final answer that tells failure. */
export function failureResponse(message: string, content?: ContentInit): Response {
  return response(ResponseStatus.FAILURE, message, content);
}

/** An answer that is followed by others. */
export function processingResponse(message: string, content?: ContentInit): Response {
  return response(ResponseStatus.PROCESSING, message, content);
}

/** What `content` of the makers accepts: `{ case: "workers", value: { vec: [...] } }`. */
export type ContentInit =
  NonNullable<MessageInitShape<typeof ResponseSchema>["content"]> extends infer C
    ? C extends { contentType?: infer T }
      ? T & object
      : never
    : never;

function response(status: ResponseStatus, message: string, content: ContentInit | undefined): Response {
  if (content === undefined) return create(ResponseSchema, { status, message });
  return create(ResponseSchema, { status, message, content: { contentType: content } });
}
