// From the checked tables to requests, in the order of spec 2.10 and deterministic: listeners in file order, then those
// that frontends need and the file does not list, then each cluster with its frontends and backends, then the
// activations. Every request is applied to a state of its own, so that whatever the state would refuse is a problem
// with a place in the file.

import { create } from "@bufbuild/protobuf";
import { addressToMessage, formatAddress } from "../command/address.ts";
import { fingerprintOfPem } from "../command/certificate.ts";
import { toFrontend } from "../command/convert.ts";
import { isError } from "../command/convert-checks.ts";
import type { Request, RequestHttpFrontend } from "../command/gen/sozu_pb.ts";
import {
  AddBackendSchema,
  ListenerType,
  RequestSchema,
  RequestTcpFrontendSchema,
  RequestUdpFrontendSchema,
} from "../command/gen/sozu_pb.ts";
import { setEntry } from "../command/map-entry.ts";
import { request } from "../command/messages.ts";
import type { HttpFrontendObject, SocketAddress } from "../command/objects.ts";
import { stateKey } from "../command/state/http-frontends.ts";
import { certificateKey } from "../command/state/keys.ts";
import { ConfigState } from "../command/state.ts";
import { checkName } from "../command/text.ts";
import { type CheckContext, checkTable } from "./check.ts";
import { readHealthCheck } from "./health-check.ts";
import {
  certificateMessage,
  certificatePlaces,
  checkHttps,
  HSTS_ON_HTTP,
  readBackendTls,
  readClientAuth,
  readHsts,
  readTlsFiles,
  type TlsFiles,
  warnCertificate,
} from "./https.ts";
import type { ValuesOf } from "./keys.ts";
import {
  clusterMessage,
  frontendMessage,
  headerMessage,
  httpsListenerMessage,
  listenerMessage,
  streamFrontendMessage,
  tcpListenerMessage,
  udpListenerMessage,
} from "./objects.ts";
import { hintPath } from "./pattern-hints.ts";
import { type ConfigPath, formatPath } from "./problems.ts";
import type { GlobalSettings } from "./settings.ts";
import { completeStreamCluster, type ListenerSpot, type Protocol, warnUseless } from "./streams.ts";
import {
  BACKEND_KEYS,
  CLUSTER_ID_BYTES_MAX,
  CLUSTER_KEYS,
  FRONTEND_KEYS,
  type GLOBAL_KEYS,
  HEADER_KEYS,
  LISTENER_KEYS,
  STREAM_FRONTEND_KEYS,
} from "./tables.ts";
import type { Templates } from "./templates.ts";

/** What a file says about objects. */
export interface Built {
  readonly requests: Request[];
  /** The state that the requests make, with origin "file". */
  readonly state: ConfigState;
}

export function buildRequests(
  context: CheckContext,
  values: ValuesOf<typeof GLOBAL_KEYS>,
  settings: GlobalSettings,
  templates: Templates,
  nowSeconds: number | null,
  state: ConfigState = new ConfigState(),
): Built {
  const builder = new Builder(context, settings, templates, nowSeconds, state);
  (values.listeners ?? []).forEach((raw, index) => {
    builder.listener(raw, ["listeners", index]);
  });
  const clusters = values.clusters ?? {};
  for (const id of Object.keys(clusters)) builder.cluster(id, clusters[id], ["clusters", id]);
  return builder.finish();
}

class Builder {
  readonly #context: CheckContext;
  readonly #settings: GlobalSettings;
  readonly #templates: Templates;
  readonly #nowSeconds: number | null;
  readonly #state: ConfigState;
  readonly #listeners: Map<string, ListenerSpot> = new Map();
  readonly #frontends: Map<string, ConfigPath> = new Map();
  readonly #streams: Map<string, ConfigPath> = new Map();
  readonly #listenerRequests: Request[] = [];
  readonly #clusterRequests: Request[] = [];
  #warnedHttp2 = false;

  constructor(
    context: CheckContext,
    settings: GlobalSettings,
    templates: Templates,
    nowSeconds: number | null,
    state: ConfigState,
  ) {
    this.#state = state;
    this.#nowSeconds = nowSeconds;
    this.#context = context;
    this.#settings = settings;
    this.#templates = templates;
  }

  finish(): Built {
    const requests = [...this.#listenerRequests, ...this.#clusterRequests];
    if (this.#settings.activateListeners) {
      for (const spot of this.#listeners.values()) {
        if (spot.protocol !== "http" && spot.protocol !== "https") {
          this.#warnStored(spot);
          continue;
        }
        if (spot.protocol === "https") this.#warnHttp2(spot);
        const proxy = spot.protocol === "http" ? ListenerType.HTTP : ListenerType.HTTPS;
        const value = { address: addressToMessage(spot.address), proxy, fromScm: false } as const;
        const activation = request({ case: "activateListener", value });
        requests.push(activation);
        this.#state.apply(activation, "file");
      }
    }
    return { requests, state: this.#state };
  }

  /** Once, for it says the same of each listener: the default list has h2. */
  #warnHttp2({ address, path }: ListenerSpot): void {
    const listener = this.#state.httpsListeners.get(formatAddress(address))?.object;
    if (this.#warnedHttp2 || !listener?.tls.alpnProtocols.includes("h2")) return;
    this.#warnedHttp2 = true;
    const place = path[0] === "listeners" ? [...path, "protocol"] : path;
    this.#context.problems.warning(place, "alpn_protocols: h2 is not offered, HTTP/2 is not built yet");
  }

  #warnStored({ protocol, path }: ListenerSpot): void {
    const what = `${protocol.toUpperCase()} traffic is not built yet: the listener is stored, but not activated`;
    this.#context.problems.warning(path[0] === "listeners" ? [...path, "protocol"] : path, what);
  }

  listener(raw: unknown, path: ConfigPath): void {
    const values = checkTable(this.#context, LISTENER_KEYS, raw, path);
    if (values?.address === undefined) return;
    const name = formatAddress(values.address);
    const other = this.#listeners.get(name);
    if (other !== undefined) {
      const message = `the address ${name} is already used by listeners[${String(other.path[1])}]`;
      this.#context.problems.error([...path, "address"], message);
      return;
    }
    // Without a valid protocol, what the other keys mean is not known; that problem has been said.
    if (values.protocol === undefined) return;
    warnUseless(this.#context, values, values.protocol, path);
    this.#addListener(values.protocol, values.address, values, path);
  }

  #addListener(
    protocol: Protocol,
    address: SocketAddress,
    values: ValuesOf<typeof LISTENER_KEYS>,
    path: ConfigPath,
  ): void {
    const expectProxy = values.expect_proxy === true && protocol !== "udp";
    if (expectProxy && values.public_address !== undefined) {
      const reason = "with expect_proxy, the PROXY header says what this address is";
      this.#context.problems.error([...path, "public_address"], `public_address: ${reason}`);
    }
    const tls = protocol === "https" ? readTlsFiles(this.#context, this.#templates, values, path) : null;
    this.#listeners.set(formatAddress(address), { protocol, address, expectProxy, tls, path });
    const list = this.#listenerRequests;
    if (protocol === "tcp") {
      const value = tcpListenerMessage(address, values, this.#settings);
      this.#push(list, { case: "addTcpListener", value }, path);
    } else if (protocol === "udp") {
      const value = udpListenerMessage(address, values, this.#settings);
      if (value.maxRxDatagramSize < (values.max_rx_datagram_size ?? 0)) {
        const most = `buffer_size is ${value.maxRxDatagramSize}, longer datagrams are dropped`;
        this.#context.problems.warning([...path, "max_rx_datagram_size"], `max_rx_datagram_size: ${most}`);
      }
      this.#push(list, { case: "addUdpListener", value }, path);
    } else {
      this.#addHttpListener(protocol, address, values, path);
    }
  }

  #addHttpListener(
    protocol: "http" | "https",
    address: SocketAddress,
    values: ValuesOf<typeof LISTENER_KEYS>,
    path: ConfigPath,
  ): void {
    const { texts, places } = this.#templates.answers(values, path);
    const list = this.#listenerRequests;
    if (protocol === "http") {
      if (values.hsts !== undefined) this.#context.problems.error([...path, "hsts"], `hsts: ${HSTS_ON_HTTP}`);
      const value = listenerMessage(address, values, this.#settings);
      for (const [status, text] of texts) setEntry(value.answers, status, text);
      this.#push(list, { case: "addHttpListener", value }, path, places);
      return;
    }
    checkHttps(this.#context, values, this.#settings, path);
    const value = httpsListenerMessage(address, values, this.#settings);
    for (const [status, text] of texts) setEntry(value.answers, status, text);
    const hsts = readHsts(this.#context, values.hsts, [...path, "hsts"]);
    if (hsts !== null) value.hsts = hsts;
    const auth = readClientAuth(this.#context, this.#templates, values.client_auth, [...path, "client_auth"]);
    if (auth !== null) value.clientAuth = auth;
    this.#push(list, { case: "addHttpsListener", value }, path, places);
    this.#addDefault(address);
  }

  /** The listener's own certificate: for clients that ask for no known name. */
  #addDefault(address: SocketAddress): void {
    const files = this.#listeners.get(formatAddress(address))?.tls ?? null;
    if (files === null) return;
    const value = certificateMessage(address, files, [], true);
    this.#push(this.#listenerRequests, { case: "addCertificate", value }, files.path, certificatePlaces(files));
  }

  cluster(id: string, raw: unknown, path: ConfigPath): void {
    const reason = checkName(id, CLUSTER_ID_BYTES_MAX);
    if (reason !== null) this.#context.problems.error(path, `this cluster id cannot be used: ${reason}`, null, true);
    const values = checkTable(this.#context, CLUSTER_KEYS, raw, path);
    if (values === null || reason !== null) return;
    const message = clusterMessage(id, values);
    const stream = values.protocol === "tcp";
    if (stream) completeStreamCluster(this.#context, this.#listeners, message, values, path);
    else if (values.send_proxy === true) {
      this.#context.problems.warning([...path, "send_proxy"], "send_proxy: only tcp clusters send it");
    }
    if (message.http2) {
      const answered = "its requests are answered 503";
      this.#context.problems.warning([...path, "http2"], `http2: it is stored, but not built yet: ${answered}`);
    }
    const { texts, places } = this.#templates.answers(values, path);
    for (const [status, text] of texts) setEntry(message.answers, status, text);
    const check = readHealthCheck(this.#context, values.health_check, [...path, "health_check"]);
    if (check !== null) message.healthCheck = check;
    const tls = readBackendTls(this.#context, this.#templates, values.tls, [...path, "tls"]);
    if (tls !== null) message.tls = tls;
    this.#push(this.#clusterRequests, { case: "addCluster", value: message }, path, places);
    const frontends = values.frontends ?? [];
    for (let i = 0; i < frontends.length; i++) {
      const place = [...path, "frontends", i];
      if (stream) this.#streamFrontend(id, frontends[i]!, place);
      else this.#frontend(id, frontends[i]!, place);
    }
    this.#backends(id, values.backends ?? [], [...path, "backends"]);
    if (values.backends?.length === 0) {
      this.#context.problems.warning(
        [...path, "backends"],
        `cluster ${JSON.stringify(id)} has no backend: ${stream ? "its clients are closed" : "it answers 503"}`,
      );
    }
  }

  #frontend(clusterId: string, raw: unknown, path: ConfigPath): void {
    const values = checkTable(this.#context, FRONTEND_KEYS, raw, path);
    if (values?.address === undefined || values.hostname === undefined) return;
    const own = readTlsFiles(this.#context, this.#templates, values, path);
    const named = values.certificate !== undefined || values.key !== undefined;
    const spot = this.#spotOf(values.address, named ? "https" : "http", path);
    if (spot.protocol === "tcp" || spot.protocol === "udp") {
      this.#wrongProtocol(spot, "http", path);
      return;
    }
    const message = frontendMessage(clusterId, values.address, values.hostname, values);
    if (values.redirect_template !== undefined) {
      message.redirectTemplate = this.#templates.text(values.redirect_template, [...path, "redirect_template"]);
    }
    (values.headers ?? []).forEach((raw, index) => {
      const edit = checkTable(this.#context, HEADER_KEYS, raw, [...path, "headers", index]);
      if (edit !== null) message.headers.push(headerMessage(edit));
    });
    if (spot.protocol === "https") this.#secure(message, own ?? spot.tls, values, path);
    else {
      if (named) this.#refuse([...path, "certificate"], `${formatPath(spot.path)} speaks http, without certificates`);
      if (values.hsts !== undefined) this.#refuse([...path, "hsts"], HSTS_ON_HTTP);
      this.#push(this.#clusterRequests, { case: "addHttpFrontend", value: message }, path);
    }
    hintPath(this.#context, values.path_type, values.path ?? "", [...path, "path"]);
  }

  /** An HTTPS frontend: its certificate first, then itself. */
  #secure(
    message: RequestHttpFrontend,
    files: TlsFiles | null,
    values: ValuesOf<typeof FRONTEND_KEYS>,
    path: ConfigPath,
  ): void {
    const { address, hostname } = values;
    if (files !== null) {
      const value = certificateMessage(address!, files, values.tls_versions ?? [], false);
      this.#push(this.#clusterRequests, { case: "addCertificate", value }, path, certificatePlaces(files));
      const key = certificateKey(address!, fingerprintOfPem(files.certificate) ?? "");
      const certificate = this.#state.certificates.get(key)?.object;
      const place = [...files.path, "certificate"];
      if (certificate !== undefined) {
        warnCertificate(this.#context, certificate, hostname!.toLowerCase(), place, this.#nowSeconds);
      }
    } else if (values.certificate === undefined && values.key === undefined) {
      this.#refuse([...path, "address"], "an HTTPS frontend needs a certificate and key, or its listener does");
    }
    const hsts = readHsts(this.#context, values.hsts, [...path, "hsts"]);
    if (hsts !== null) message.hsts = hsts;
    this.#push(this.#clusterRequests, { case: "addHttpsFrontend", value: message }, path);
  }

  #refuse(place: ConfigPath, reason: string): void {
    this.#context.problems.error(place, `${String(place.at(-1))}: ${reason}`);
  }

  /** The listener of a frontend; one that the file does not list is made with defaults. */
  #spotOf(address: SocketAddress, protocol: Protocol, path: ConfigPath): ListenerSpot {
    const name = formatAddress(address);
    if (!this.#listeners.has(name)) this.#addListener(protocol, address, {}, path);
    return this.#listeners.get(name)!;
  }

  #wrongProtocol({ protocol, path: place }: ListenerSpot, cluster: string, path: ConfigPath): void {
    const message = `address: ${formatPath(place)} speaks ${protocol}, which a ${cluster} cluster cannot serve`;
    this.#context.problems.error([...path, "address"], message);
  }

  #streamFrontend(clusterId: string, raw: unknown, path: ConfigPath): void {
    const values = checkTable(this.#context, STREAM_FRONTEND_KEYS, raw, path);
    if (values?.address === undefined) return;
    const spot = this.#spotOf(values.address, "tcp", path);
    const name = formatAddress(values.address);
    const other = this.#streams.get(name);
    if (other !== undefined) {
      const message = `address: ${name} serves this cluster from here on, no longer ${formatPath(other)}`;
      this.#context.problems.warning([...path, "address"], message);
    }
    this.#streams.set(name, path);
    const value = streamFrontendMessage(clusterId, values.address, values);
    const list = this.#clusterRequests;
    if (spot.protocol === "tcp") {
      this.#push(list, { case: "addTcpFrontend", value: create(RequestTcpFrontendSchema, value) }, path);
    } else if (spot.protocol === "udp") {
      this.#push(list, { case: "addUdpFrontend", value: create(RequestUdpFrontendSchema, value) }, path);
    } else this.#wrongProtocol(spot, "tcp", path);
  }

  #backends(clusterId: string, raws: readonly unknown[], path: ConfigPath): void {
    const seen = new Map<string, number>();
    raws.forEach((raw, index) => {
      const at = [...path, index];
      const values = checkTable(this.#context, BACKEND_KEYS, raw, at);
      if (values?.address === undefined) return;
      const name = formatAddress(values.address);
      const backendId = values.backend_id ?? `${clusterId}-${index}-${name}`;
      const identity = `${backendId}\0${name}`;
      const other = seen.get(identity);
      if (other !== undefined) {
        this.#context.problems.error(at, `the backend ${backendId} at ${name} is already listed as backends[${other}]`);
        return;
      }
      seen.set(identity, index);
      const message = create(AddBackendSchema);
      message.clusterId = clusterId;
      message.backendId = backendId;
      message.address = addressToMessage(values.address);
      if (values.sticky_id !== undefined) message.stickyId = values.sticky_id;
      message.loadBalancingParameters = { $typeName: "command.LoadBalancingParams", weight: values.weight ?? 100 };
      if (values.backup !== undefined) message.backup = values.backup;
      this.#push(this.#clusterRequests, { case: "addBackend", value: message }, at);
    });
  }

  /** `places`: where fields are written that do not stand under their own name. */
  #push(
    list: Request[],
    requestType: Request["requestType"],
    path: ConfigPath,
    places: ReadonlyMap<string, ConfigPath> = NO_PLACES,
  ): void {
    const message = create(RequestSchema);
    message.requestType = requestType;
    const result = this.#state.apply(message, "file");
    if (result.ok) {
      list.push(message);
      const frontend = ruleOf(requestType);
      if (frontend !== null) this.#frontends.set(stateKey(frontend), path);
      return;
    }
    const { field, reason } = result.error;
    if (field === null) this.#context.problems.error(path, this.#nameTwin(requestType) ?? reason);
    else {
      const inner = fieldPath(field);
      this.#context.problems.error(places.get(field) ?? [...path, ...inner], `${formatPath(inner)}: ${reason}`);
    }
  }

  /** Two frontends of one identity: says where the first is. */
  #nameTwin(requestType: Request["requestType"]): string | null {
    const frontend = ruleOf(requestType);
    const twin = frontend === null ? undefined : this.#frontends.get(stateKey(frontend));
    return twin === undefined ? null : `this frontend has the address, host, path and method of ${formatPath(twin)}`;
  }
}

function ruleOf(requestType: Request["requestType"]): HttpFrontendObject | null {
  if (requestType.case !== "addHttpFrontend" && requestType.case !== "addHttpsFrontend") return null;
  const frontend = toFrontend(requestType.value);
  return isError(frontend) ? null : frontend;
}

const NO_PLACES: ReadonlyMap<string, ConfigPath> = new Map();

/** The field of a refusal, `headers[1].val`, as the path under which the file has it. */
function fieldPath(field: string): ConfigPath {
  const parts = field.match(/[^.[\]]+/g) ?? [field];
  return parts.map((part, at) => {
    if (parts[0] === "answers") return part;
    if (part === "val") return "value";
    return at > 0 && /^[0-9]+$/.test(part) ? Number(part) : part;
  });
}
