// `sozu explain`: what the proxy does with a request and why, without sending one. The state comes from the running proxy,
// or from the configuration file when none runs or with --file; the verdict from the code of the workers (src/explain).

import { type Client, ClientError } from "../client/index.ts";
import { formatAddress, parseAddress } from "../command/address.ts";
import type { BackendHealth as BackendHealthMessage, Request, Response } from "../command/gen/sozu_pb.ts";
import { ResponseStatus } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import type { BackendObject, HttpListenerObject } from "../command/objects.ts";
import { ConfigState } from "../command/state.ts";
import { askedRequest, believes, chooseListener } from "../explain/request.ts";
import { Explainer, type Verdict } from "../explain/verdict.ts";
import { readConfig } from "./check.ts";
import { openClient, sendOver } from "./control.ts";
import { explanationJson, explanationText } from "./display/explanation.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";

/** What `explain` was given. */
export interface ExplainOptions extends GlobalOptions {
  readonly header?: readonly string[];
  readonly from?: string;
  readonly listener?: string;
  readonly file?: boolean;
}

/** Health of a backend, by worker. */
export interface WorkerHealth {
  readonly worker: string;
  readonly health: BackendHealthMessage;
}

/** Everything that is printed. */
export interface Explanation {
  /** `the running proxy` or the path of a file. */
  readonly source: string;
  readonly request: string;
  readonly listener: HttpListenerObject;
  readonly listenerBecause: string;
  /** Rules of the listener, of all hosts. */
  readonly rules: number;
  readonly verdict: Verdict;
  /** null: a proxy was not asked. */
  readonly health: readonly WorkerHealth[] | null;
  /** Whether what the client says of others in X-Forwarded-* is believed; null: nobody was named. */
  readonly believed: boolean | null;
}

/** @throws CliError for what is no request, or a listener that is not there. */
export async function explain(method: string, url: string, options: ExplainOptions): Promise<void> {
  const asked = askedRequest(method, url, options.header ?? []);
  if (typeof asked === "string") throw new CliError(asked, "sozu explain --help shows examples");
  if (asked.scheme === "https") throw new CliError("HTTPS traffic is not supported yet", "name an http:// URL");
  const source = await openSource(options);
  try {
    const listeners = [...source.state.httpListeners.entries.values()].map(({ object }) => object);
    const { listener, because } = pickListener(listeners, asked, options.listener);
    const believed = options.from === undefined ? null : believes(listener, options.from);
    if (options.from !== undefined && believed === null) throw new CliError(`"${options.from}" is no IP address`);
    const explainer = explainerFor(source, listener);
    const first = explainer.judge(asked.head);
    if (first.clusterId !== null) await source.fetchCluster(first.clusterId);
    const verdict = explainer.judge(asked.head);
    const explanation: Explanation = {
      source: source.name,
      request: `${method} ${url}`,
      listener,
      listenerBecause: because,
      rules: explainer.rules,
      verdict,
      health: verdict.clusterId === null ? null : await source.health(verdict.clusterId),
      believed,
    };
    process.stdout.write(options.json ? explanationJson(explanation) : explanationText(explanation));
  } finally {
    source.close();
  }
}

function pickListener(
  listeners: readonly HttpListenerObject[],
  asked: { readonly host: string; readonly port: number },
  wanted: string | undefined,
): { listener: HttpListenerObject; because: string } {
  const names = listeners.map(({ address }) => formatAddress(address));
  const next =
    names.length === 0 ? "add an HTTP listener" : `name one with --listener: ${names.slice(0, 10).join(", ")}`;
  if (wanted === undefined) {
    const found = chooseListener(listeners, asked);
    if (found !== null) return found;
    throw new CliError(`no HTTP listener accepts on port ${asked.port}`, next);
  }
  const address = parseAddress(wanted);
  const listener = address === null ? undefined : listeners[names.indexOf(formatAddress(address))];
  if (listener === undefined) throw new CliError(`there is no HTTP listener at ${wanted}`, next);
  return { listener, because: "it was named" };
}

/** Where the state comes from. */
interface Source {
  readonly name: string;
  readonly state: ConfigState;
  readonly bufferSize: number;
  readonly credentialBytesMax: number;
  /** Completes the state by a cluster and its backends. */
  fetchCluster(id: string): Promise<void>;
  health(clusterId: string): Promise<readonly WorkerHealth[] | null>;
  close(): void;
}

function explainerFor({ state, bufferSize, credentialBytesMax }: Source, listener: HttpListenerObject): Explainer {
  const name = formatAddress(listener.address);
  const all = [...state.httpFrontends.entries.values()].map(({ object }) => object);
  return new Explainer({
    listener,
    frontends: all.filter(({ address }) => formatAddress(address) === name),
    cluster: (id) => state.clusters.get(id)?.object ?? null,
    backends: (id) => backendsOf(state, id),
    bufferSize,
    credentialBytesMax,
  });
}

function backendsOf(state: ConfigState, clusterId: string): BackendObject[] {
  const all = [...state.backends.entries.values()].map(({ object }) => object);
  return all.filter((backend) => backend.clusterId === clusterId);
}

async function openSource(options: ExplainOptions): Promise<Source> {
  if (options.file !== true) {
    try {
      return await runningProxy(options);
    } catch (error) {
      const absent = error instanceof ClientError && ["SOCKET_MISSING", "NOT_RUNNING"].includes(error.code);
      if (!absent) throw error;
    }
  }
  const { state, settings } = await readConfig(options.config, { unknownKeys: "warn" });
  return {
    name: options.config,
    state,
    bufferSize: settings.bufferSizeBytes,
    credentialBytesMax: settings.basicAuthMaxCredentialBytes,
    fetchCluster: () => Promise.resolve(),
    health: () => Promise.resolve(null),
    close: () => undefined,
  };
}

/** Sozu's default; a running proxy does not tell its own. */
const BUFFER_SIZE = 16_393;

async function runningProxy(options: ExplainOptions): Promise<Source> {
  const client = await openClient(options);
  try {
    const state = await fetchRules(client);
    return {
      name: "the running proxy",
      state,
      bufferSize: BUFFER_SIZE,
      credentialBytesMax: 0,
      fetchCluster: (id) => fetchCluster(client, state, id),
      health: (id) => fetchHealth(client, id),
      close: () => client.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

function asked(client: Client, question: Request): Promise<Response> {
  return sendOver(client, question, "with --file the configuration file is judged instead");
}

async function fetchRules(client: Client): Promise<ConfigState> {
  const state = new ConfigState();
  const listeners = (await asked(client, request({ case: "listListeners", value: {} }))).content?.contentType;
  if (listeners?.case === "listenersList") {
    for (const value of Object.values(listeners.value.httpListeners)) {
      const { address, active } = value;
      put(state, { case: "addHttpListener", value });
      // A listener that is added is not active yet, whatever its message says (spec 2.10).
      if (active) put(state, { case: "activateListener", value: { address: address!, proxy: 0, fromScm: false } });
    }
  }
  const filters = { http: true, https: false, tcp: false };
  const frontends = (await asked(client, request({ case: "listFrontends", value: filters }))).content?.contentType;
  if (frontends?.case === "frontendList") {
    for (const value of frontends.value.httpFrontends) put(state, { case: "addHttpFrontend", value });
  }
  return state;
}

async function fetchCluster(client: Client, state: ConfigState, id: string): Promise<void> {
  const answer = await client.send(request({ case: "queryClusterById", value: id }));
  const content = answer.content?.contentType;
  const main = content?.case === "workerResponses" ? content.value.map["main"]?.contentType : undefined;
  for (const information of main?.case === "clusters" ? main.value.vec : []) {
    const { configuration, backends } = information;
    if (configuration !== undefined) put(state, { case: "addCluster", value: configuration });
    for (const value of backends) put(state, { case: "addBackend", value });
  }
}

/** null: this proxy does not know the question. */
async function fetchHealth(client: Client, clusterId: string): Promise<readonly WorkerHealth[] | null> {
  const answer = await client.send(request({ case: "queryBackendHealth", value: { clusterId } }));
  const content = answer.content?.contentType;
  if (answer.status !== ResponseStatus.OK || content?.case !== "workerResponses") return null;
  return Object.entries(content.value.map).flatMap(([worker, { contentType }]) =>
    contentType.case === "backendHealth" ? contentType.value.vec.map((health) => ({ worker, health })) : [],
  );
}

function put(state: ConfigState, requestType: Parameters<typeof request>[0]): void {
  const result = state.apply(request(requestType), "socket");
  if (!result.ok) throw new CliError(`the proxy holds what this version refuses: ${result.error.message}`);
}
