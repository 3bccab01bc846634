// What a control plane imports as `sozu/client`: a typed client of the command socket. Needs no native addon and runs
// on Node 22 and later.
//
//   const client = await connect({ socketPath: "/run/sozu.sock" });
//   const answer = await client.send(request({ case: "status", value: {} }));
//
// encodeRecords() and decodeRecords() write and read saved states, for control planes that prepare or inspect them.

export type { Request, Response } from "../command/gen/sozu_pb.ts";
export { ResponseStatus } from "../command/gen/sozu_pb.ts";
export { request } from "../command/messages.ts";
export { type DecodedRecords, decodeRecords, encodeRecords } from "../command/records.ts";
export { type Client, type ConnectOptions, connect, type SendOptions } from "./client.ts";
export { ClientError, type ClientErrorCode } from "./errors.ts";
