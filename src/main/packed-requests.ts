// Requests one behind the other, each with where it comes from: how one main leaves a state to the next (carry.ts,
// journal.ts). An item is a u32 length (little-endian), a u8 origin and the request as protobuf.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Request, RequestSchema } from "../command/gen/sozu_pb.ts";
import type { Origin } from "../command/state.ts";

const HEADER_BYTES = 5;
/** By number: new ones come at the end. */
const ORIGINS: readonly Origin[] = ["file", "socket", "saved_state", "etcd", "acme", "docker"];

/** One item. */
export function packItem(request: Request, origin: Origin): Uint8Array {
  const body = toBinary(RequestSchema, request);
  const item = Buffer.allocUnsafe(HEADER_BYTES + body.length);
  item.writeUInt32LE(body.length);
  item[4] = ORIGINS.indexOf(origin);
  item.set(body, HEADER_BYTES);
  return item;
}

/** The items at [from, to). @throws Error when one is no request. */
export function* unpackItems(
  bytes: Buffer,
  from = 0,
  to: number = bytes.length,
): Generator<{ readonly request: Request; readonly origin: Origin }> {
  for (let at = from; at + HEADER_BYTES <= to; ) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at);
    const request = fromBinary(RequestSchema, bytes.subarray(at + HEADER_BYTES, end));
    yield { request, origin: ORIGINS[bytes[at + 4] as number] ?? "socket" };
    at = end;
  }
}
