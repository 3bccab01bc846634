// What a control plane imports as `sozu/client`: a typed client of the command socket. Needs no native addon and runs
// on Node 22 and later.
//
//   const sozu = await connect({ socketPath: "/run/sozu.sock" });
//   await sozu.request({ case: "removeCluster", value: "app" });
//   for await (const event of sozu.events()) console.log(event.kind, event.clusterId);
//
// encodeRecords() and decodeRecords() write and read saved states, for control planes that prepare or inspect them.

export type { Request, Response } from "../command/gen/sozu_pb.ts";
export { ResponseStatus } from "../command/gen/sozu_pb.ts";
export { request } from "../command/messages.ts";
export { type DecodedRecords, decodeRecords, encodeRecords } from "../command/records.ts";
export type { ConnectOptions, SendOptions } from "./client.ts";
export {
  type Content,
  Control,
  type Control as Client,
  type ControlOptions,
  connect,
  type RequestInput,
  type RequestOptions,
  type SozuEvent,
} from "./control.ts";
export { ClientError, type ClientErrorCode } from "./errors.ts";
