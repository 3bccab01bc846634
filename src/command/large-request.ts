// A request of megabytes is a transaction of many: it is decoded one by one, so that others get their turn meanwhile. The
// outcome is that of decoding it at once (required.ts, messages.ts), but that no field may reach over the end of its
// request. Pure.

import { create } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Request } from "./gen/sozu_pb.ts";
import { RequestSchema, TransactionSchema } from "./gen/sozu_pb.ts";
import { decodeMessage } from "./messages.ts";
import { missingField } from "./required.ts";

/** A request, and the path of the first required field that it lacks, or null. */
export interface ReadRequest {
  readonly request: Request;
  readonly missing: string | null;
}

const TRANSACTION = RequestSchema.field.transaction;
const REQUESTS = TransactionSchema.field.requests;

/** Decodes a Request in steps; null when it is none. The bytes must not change meanwhile. */
export function* readingRequest(bytes: Uint8Array): Generator<void, ReadRequest | null> {
  const parts = partsOf(bytes);
  if (parts === null) {
    const request = decodeMessage(RequestSchema, bytes);
    return request === null ? null : { request, missing: missingField(RequestSchema, request) };
  }
  const requests: Request[] = [];
  let missing: string | null = null;
  for (const part of parts) {
    const request = decodeMessage(RequestSchema, part);
    if (request === null) return null;
    const lacks: string | null = missing === null ? missingField(RequestSchema, request) : null;
    if (lacks !== null) missing = `${TRANSACTION.name}.${REQUESTS.name}.${lacks}`;
    requests.push(request);
    yield;
  }
  const value = create(TransactionSchema);
  value.requests = requests;
  const request = create(RequestSchema);
  request.requestType = { case: "transaction", value };
  return { request, missing };
}

/** The requests of what is a transaction and nothing else; null: it is not, or broken. */
function partsOf(bytes: Uint8Array): Uint8Array[] | null {
  try {
    const outer = new BinaryReader(bytes);
    if (!isNext(outer, TRANSACTION.number)) return null;
    const inner = new BinaryReader(outer.bytes());
    if (outer.pos < outer.len) return null;
    const parts: Uint8Array[] = [];
    while (inner.pos < inner.len) {
      if (!isNext(inner, REQUESTS.number)) return null;
      parts.push(inner.bytes());
    }
    return parts;
  } catch {
    // Cut short: whoever decodes it as a whole says so.
    return null;
  }
}

function isNext(reader: BinaryReader, number: number): boolean {
  const [field, type] = reader.tag();
  return field === number && type === WireType.LengthDelimited;
}
