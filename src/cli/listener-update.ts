// `sozu listener <protocol> update`: a patch with only the fields that were given.

import { ScalarType } from "@bufbuild/protobuf";
import {
  UpdateHttpListenerConfigSchema,
  UpdateHttpsListenerConfigSchema,
  UpdateTcpListenerConfigSchema,
  UpdateUdpListenerConfigSchema,
} from "../command/gen/sozu_pb.ts";
import { control, type RequestInit } from "./control.ts";
import { UsageError } from "./errors.ts";
import type { Protocol } from "./listener.ts";
import type { GlobalOptions } from "./options.ts";
import { type ClientAuthOptions, readClientAuth } from "./tls-options.ts";
import { type HstsOptions, readAddress, readAnswers, readHsts, readTemplateFile } from "./values.ts";

/** What `update` was given; the names of the other options are those of the fields. */
export interface ListenerUpdateOptions extends GlobalOptions, HstsOptions, ClientAuthOptions {
  readonly address: string;
  readonly publicAddress?: string;
  readonly answer?: readonly string[];
  readonly resetAnswer?: readonly string[];
  readonly trustedProxies?: string;
  readonly resetTrustedProxies?: boolean;
  /** Separated by commas. */
  readonly alpnProtocols?: string;
  readonly resetAlpn?: boolean;
  readonly enableHttp11?: boolean;
}

const PATCHES = {
  http: { request: "updateHttpListener", schema: UpdateHttpListenerConfigSchema },
  https: { request: "updateHttpsListener", schema: UpdateHttpsListenerConfigSchema },
  tcp: { request: "updateTcpListener", schema: UpdateTcpListenerConfigSchema },
  udp: { request: "updateUdpListener", schema: UpdateUdpListenerConfigSchema },
} as const;

/** Changes a listener in place; its connections stay. */
export async function updateListener(protocol: Protocol, options: ListenerUpdateOptions): Promise<void> {
  const { request, schema } = PATCHES[protocol];
  const given = options as unknown as Readonly<Record<string, unknown>>;
  const patch: Record<string, unknown> = {};
  for (const { localName, fieldKind, scalar } of schema.fields) {
    if (fieldKind !== "scalar" || given[localName] === undefined) continue;
    patch[localName] = scalar === ScalarType.UINT64 ? BigInt(given[localName] as number) : given[localName];
  }
  if (options.publicAddress !== undefined) patch["publicAddress"] = readAddress(options.publicAddress);
  const files: Record<string, string> = {};
  for (const name of Object.keys(given)) {
    if (/^answer[0-9]{3}$/.test(name)) files[name] = readTemplateFile(given[name] as string);
  }
  if (Object.keys(files).length > 0) patch["httpAnswers"] = files;
  const answers = readAnswers(options.answer ?? [], options.resetAnswer ?? []);
  if (Object.keys(answers).length > 0) patch["answers"] = answers;
  if (options.resetTrustedProxies === true) patch["trustedProxies"] = { values: [] };
  if (options.trustedProxies !== undefined) patch["trustedProxies"] = { values: options.trustedProxies.split(",") };
  if (options.resetAlpn === true && options.alpnProtocols !== undefined) {
    throw new UsageError("--reset-alpn cannot be combined with --alpn-protocols");
  }
  if (options.resetAlpn === true) patch["alpnProtocols"] = { values: [] };
  if (options.alpnProtocols !== undefined) patch["alpnProtocols"] = { values: options.alpnProtocols.split(",") };
  if (options.enableHttp11 === true) patch["disableHttp11"] = false;
  const hsts = readHsts(options);
  if (hsts !== undefined) patch["hsts"] = hsts;
  Object.assign(patch, readClientAuth(options));
  // Not an error, as in Sozu: a script may have nothing to change today.
  if (Object.keys(patch).length === 0) process.stderr.write("warning: nothing was given that could change\n");
  const verb = { case: request, value: { ...patch, address: readAddress(options.address) } };
  await control(options, verb as RequestInit, "sozu listener list shows all listeners");
}
