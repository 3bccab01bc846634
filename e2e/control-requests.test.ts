// Every member of `Request.request_type`, driven by the schema (spec 4.3 to 4.5): a member that has no line here fails the
// test. Each line is one request to a running proxy, in an order in which it has something to work on, and what it is
// answered with.

import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Client, connect, ResponseStatus, request } from "../src/client/index.ts";
import { addressToMessage, parseAddress } from "../src/command/address.ts";
import { RequestSchema, type Response, type TlsVersion } from "../src/command/gen/sozu_pb.ts";
import { makeCertificate } from "../test/command/certs.ts";
import { frontend } from "../test/command/requests.ts";
import { httpListener } from "./lib/changes.ts";
import { freePort } from "./lib/ports.ts";
import { type RunningProxy, startProxy } from "./lib/proxy.ts";

type Init = Parameters<typeof request>[0];
type Name = NonNullable<Init>["case"] & string;

/** What a request is answered with: the text of success, or of the refusal, and the content. */
interface Expected {
  readonly ok?: RegExp;
  readonly refused?: RegExp;
  readonly content?: string;
}

const APPLIED: Expected = { ok: /^Successfully applied request to all workers(; .*)?$/ };
const UNBUILT: Expected = { refused: /not supported yet|not built yet/ };

/** Members that are not sent here, with the reason. */
const NOT_SENT: Readonly<Partial<Record<Name, string>>> = {
  subscribeEvents: "silent until an event (decisions 6): e2e/control-events.test.ts",
  upgradeMain: "replaces the process: the tests of upgrades",
  upgradeWorker: "replaces a worker: the tests of upgrades",
  upgradeWorkerWith: "replaces a worker: the tests of upgrades",
  queryMetrics: "the tests of metrics",
  configureMetrics: "the tests of metrics",
  setMetricDetail: "the tests of metrics",
  hardStop: "the proxy can be stopped once: e2e/process-stop.test.ts",
};

async function linesOf(proxy: RunningProxy): Promise<[Init, Expected][]> {
  const [http, https, tcp, udp] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const at = (port: number) => addressToMessage(parseAddress(`127.0.0.1:${port}`)!);
  const cluster = { clusterId: "c", stickySession: false, httpsRedirect: false, loadBalancing: 0 } as const;
  const timeouts = { frontTimeout: 60, backTimeout: 30 } as const;
  const stream = { expectProxy: false, connectTimeout: 3, active: false, ...timeouts } as const;
  const tls = { versions: [4, 5] as TlsVersion[], sendTls13Tickets: 4n, stickyName: "S", requestTimeout: 10 };
  const config = { uri: "/", interval: 10, timeout: 5, healthyThreshold: 3, unhealthyThreshold: 3, expectedStatus: 0 };
  const backend = { clusterId: "c", backendId: "b", address: at(1) };
  const rule = { ...frontend("a.test"), clusterId: "c", address: at(http) } as never;
  const secure = { ...frontend("a.test"), clusterId: "c", address: at(https) } as never;
  const [old, fresh] = [makeCertificate(), makeCertificate()];
  const pair = ({ pem, key }: typeof old) => {
    return { certificate: pem, certificateChain: [], key, versions: [], names: [] };
  };
  const state = join(proxy.folder, "state.json");
  return [
    [
      { case: "status", value: {} },
      { ok: /^Successfully collected the status of workers$/, content: "workers" },
    ],
    [
      { case: "listWorkers", value: {} },
      { ok: /workers/, content: "workers" },
    ],
    [{ case: "addCluster", value: cluster }, APPLIED],
    [{ case: "addBackend", value: backend }, APPLIED],
    [{ case: "addHttpListener", value: httpListener(http) }, APPLIED],
    [{ case: "addHttpFrontend", value: rule }, APPLIED],
    [{ case: "updateHttpListener", value: { address: at(http), frontTimeout: 9 } }, APPLIED],
    [{ case: "activateListener", value: { address: at(http), proxy: 0, fromScm: false } }, APPLIED],
    [{ case: "addHttpsListener", value: { address: at(https), ...stream, ...tls } }, APPLIED],
    [{ case: "updateHttpsListener", value: { address: at(https), frontTimeout: 9 } }, APPLIED],
    [{ case: "addHttpsFrontend", value: secure }, APPLIED],
    [{ case: "addCertificate", value: { address: at(https), certificate: pair(old) } }, APPLIED],
    [
      {
        case: "replaceCertificate",
        value: { address: at(https), newCertificate: pair(fresh), oldFingerprint: old.fingerprint },
      },
      APPLIED,
    ],
    [{ case: "addTcpListener", value: { address: at(tcp), ...stream } }, APPLIED],
    [{ case: "updateTcpListener", value: { address: at(tcp), frontTimeout: 9 } }, APPLIED],
    [{ case: "addTcpFrontend", value: { clusterId: "c", address: at(tcp) } }, APPLIED],
    [
      {
        case: "addUdpListener",
        value: { address: at(udp), ...timeouts, maxRxDatagramSize: 1500, maxFlows: 0, active: false },
      },
      APPLIED,
    ],
    [{ case: "updateUdpListener", value: { address: at(udp), frontTimeout: 9 } }, APPLIED],
    [{ case: "addUdpFrontend", value: { clusterId: "c", address: at(udp) } }, APPLIED],
    [{ case: "setHealthCheck", value: { clusterId: "c", config } }, APPLIED],
    [{ case: "setMaxConnectionsPerIp", value: 9n }, APPLIED],
    [{ case: "Logging", value: "info" }, APPLIED],
    [
      { case: "listFrontends", value: { http: false, https: false, tcp: false } },
      { ok: /^Successfully listed frontends$/, content: "frontendList" },
    ],
    [
      { case: "listListeners", value: {} },
      { ok: /^Successfully listed listeners$/, content: "listenersList" },
    ],
    [
      { case: "queryClusterById", value: "c" },
      { ok: /^Successfully queried clusters$/, content: "workerResponses" },
    ],
    [
      { case: "queryClustersByDomain", value: { hostname: "a.test" } },
      { ok: /^Successfully queried clusters$/, content: "workerResponses" },
    ],
    [
      { case: "queryClustersHashes", value: {} },
      { ok: /^Successfully queried clusters$/, content: "workerResponses" },
    ],
    [
      { case: "queryCertificatesFromTheState", value: {} },
      { ok: /from the state of main process$/, content: "certificatesWithFingerprints" },
    ],
    [
      { case: "queryCertificatesFromWorkers", value: {} },
      { ok: /^Successfully queried clusters$/, content: "workerResponses" },
    ],
    [
      { case: "queryMaxConnectionsPerIp", value: {} },
      { ok: /^Successfully/, content: "maxConnectionsPerIpLimit" },
    ],
    [
      { case: "queryHealthChecks", value: {} },
      { ok: /^Successfully listed health check configurations$/, content: "healthChecksList" },
    ],
    [
      { case: "queryBackendHealth", value: {} },
      { ok: /^Successfully/, content: "workerResponses" },
    ],
    [
      { case: "countRequests", value: {} },
      { ok: /^Successfully counted requests received by the state$/, content: "requestCounts" },
    ],
    [{ case: "saveState", value: state }, { ok: /^Saved \d+ config messages to .*state\.json$/ }],
    [{ case: "loadState", value: state }, { ok: /^Successfully loaded state from path .*, 0 ok messages, 0 errors/ }],
    [
      { case: "loadStateWith", value: { path: state, replace: true, dryRun: true } },
      { ok: /./, content: "changeReport" },
    ],
    [{ case: "transaction", value: { requests: [request({ case: "removeHealthCheck", value: "c" })] } }, { ok: /./ }],
    [{ case: "setHealthCheck", value: { clusterId: "c", config } }, APPLIED],
    [{ case: "removeHealthCheck", value: "c" }, APPLIED],
    [{ case: "replaceListener", value: { listener: { case: "http", value: httpListener(http) } } }, APPLIED],
    [{ case: "removeUdpFrontend", value: { clusterId: "c", address: at(udp) } }, APPLIED],
    [{ case: "removeTcpFrontend", value: { clusterId: "c", address: at(tcp) } }, APPLIED],
    [{ case: "removeCertificate", value: { address: at(https), fingerprint: fresh.fingerprint } }, APPLIED],
    [{ case: "removeHttpsFrontend", value: secure }, APPLIED],
    [{ case: "removeHttpFrontend", value: rule }, APPLIED],
    [{ case: "deactivateListener", value: { address: at(http), proxy: 0, toScm: false } }, APPLIED],
    [{ case: "removeListener", value: { address: at(http), proxy: 0 } }, APPLIED],
    [{ case: "removeBackend", value: backend }, APPLIED],
    [{ case: "removeCluster", value: "c" }, APPLIED],
    [
      { case: "reload", value: { prune: true, dryRun: true } },
      { ok: /./, content: "changeReport" },
    ],
    [
      { case: "reloadConfiguration", value: "" },
      { ok: /^Successfully reloaded/, content: "changeReport" },
    ],
    // Sozu leaves them without an answer (decisions 6).
    [{ case: "launchWorker", value: "x" }, UNBUILT],
    [{ case: "returnListenSockets", value: {} }, UNBUILT],
    [{ case: undefined } as never, { refused: /./ }],
    [{ case: "softStop", value: {} }, { ok: /^Successfully soft stopped all workers$/ }],
  ];
}

async function send(t: TestContext, client: Client, init: Init, expected: Expected): Promise<void> {
  const answer: Response = await client.send(request(init), { timeoutMs: 20_000 });
  const about = `${String(init?.case)}: ${answer.message}`;
  t.diagnostic(about);
  const { ok, refused, content } = expected;
  assert.equal(answer.status, refused === undefined ? ResponseStatus.OK : ResponseStatus.FAILURE, about);
  assert.match(answer.message, (ok ?? refused)!, about);
  assert.equal(answer.content?.contentType.case, content, about);
}

test("spec 4.3: every request of the schema is answered as it says", async (t) => {
  const proxy = await startProxy(t, { workers: 2, clusters: { app: { backends: [] } } });
  const client = await connect({ socketPath: proxy.socketPath });
  t.after(() => client.close());
  const lines = await linesOf(proxy);
  const known = new Set<string | undefined>([...lines.map(([init]) => init?.case), ...Object.keys(NOT_SENT)]);
  const members = RequestSchema.oneofs[0].fields.map(({ localName }) => localName);
  assert.deepEqual(
    members.filter((name) => !known.has(name)),
    [],
    "members of the schema without a line",
  );
  for (const [init, expected] of lines) await send(t, client, init, expected);
  await proxy.waitForExit();
});
