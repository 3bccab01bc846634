// Certificates are replaced a thousand times while requests come and go: no request is lost, and who connects after a
// replacement is answered gets the new certificate (hardening TLS-13).

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../src/client/index.ts";
import { ResponseStatus } from "../src/command/gen/sozu_pb.ts";
import { httpBackend } from "./lib/backend.ts";
import { local, send } from "./lib/changes.ts";
import { runLoad } from "./lib/load.ts";
import { startProxy } from "./lib/proxy.ts";
import { authority, fingerprintOf, issue, secureConnect, writeIdentity } from "./lib/secure.ts";

const REPLACEMENTS = 1000;

test("TLS-13: a thousand replacements under load: nothing fails, each next connection has the new certificate", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("hello\n"));
  const first = issue({ names: ["a.test"] });
  const proxy = await startProxy(t, {
    workers: 2,
    listener: { protocol: "https", certificate: "a.pem", key: "a.key" },
    clusters: { app: { frontends: ["a.test"], backends: [backend.port] } },
    before: (folder) => writeIdentity(folder, "a", first),
  });
  writeFileSync(join(proxy.folder, "ca.pem"), authority.pem);
  const client = await connect({ socketPath: proxy.socketPath, timeoutMs: 10_000 });
  t.after(() => client.close());
  const request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
  const tls = { servername: "a.test", ca: authority.pem };
  const loads = [
    runLoad(t, proxy.port, { connections: 4, request, tls }),
    runLoad(t, proxy.port, { connections: 4, request, tls, fresh: true }),
  ];
  const made = Array.from({ length: 50 }, () => issue({ names: ["a.test"] }));
  let before = first;
  for (let i = 0; i < REPLACEMENTS; i++) {
    const next = made[i % made.length] as typeof first;
    const newCertificate = {
      certificate: next.pem,
      certificateChain: [authority.pem],
      key: next.key,
      names: [],
      versions: [],
    };
    const address = local(proxy.port);
    const { status, message } = await send(client, {
      case: "replaceCertificate",
      value: { address, newCertificate, oldFingerprint: before.fingerprint },
    });
    assert.equal(status, ResponseStatus.OK, message);
    const socket = await secureConnect(proxy.port);
    assert.equal(fingerprintOf(socket), next.fingerprint, `replacement ${i}`);
    socket.destroy();
    before = next;
  }
  for (const load of loads) {
    const { served, failures } = await load.stop();
    assert.deepEqual(failures, []);
    assert.ok(served > 100, `${served} requests`);
  }
});
