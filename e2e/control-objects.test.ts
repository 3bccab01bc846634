// Objects whose traffic is not built yet, with real processes: they are stored, listed, saved and loaded like the others,
// activating their listeners is refused, workers stay in step, and private keys show nowhere.

import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificate } from "../test/command/certs.ts";
import { httpBackend } from "./lib/backend.ts";
import { once } from "./lib/client.ts";
import { startProxy } from "./lib/proxy.ts";

const request = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

test("HTTPS, TCP and UDP objects are stored, listed, saved and loaded; activation of TCP and UDP is refused", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  const root = makeCertificate({ commonName: "Root", names: [] });
  const made = makeCertificate({ names: ["shop.test"], issuer: root });
  for (const [name, text] of [
    ["leaf.pem", made.pem],
    ["chain.pem", root.pem],
    ["leaf.key", made.key],
  ] as const) {
    writeFileSync(join(proxy.folder, name), text);
  }
  const file = (name: string): string => join(proxy.folder, name);
  const good = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await proxy.run(...args);
    assert.equal(code, 0, `${args.join(" ")}\n${stderr}`);
    assert.doesNotMatch(stdout, /PRIVATE KEY/);
    return stdout;
  };
  const bad = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await proxy.run(...args);
    assert.equal(code, 1, args.join(" "));
    assert.doesNotMatch(stderr, /PRIVATE KEY/);
    return stderr;
  };
  const at = ["--address", "127.0.0.1:8443"];
  assert.match(await bad("frontend", "https", "add", ...at, "--hostname", "a.test", "id", "app"), /no listener found/);
  await good("listener", "https", "add", ...at, "--hsts-max-age", "60");
  const certificate = ["--certificate", file("leaf.pem"), "--certificate-chain", file("chain.pem")];
  assert.match(await bad("certificate", "add", ...at, ...certificate, "--key", file("chain.pem")), /no private key/);
  await good("certificate", "add", ...at, ...certificate, "--key", file("leaf.key"));
  assert.match(
    await good("frontend", "https", "add", ...at, "--hostname", "a.test", "id", "app"),
    /no certificate of 127\.0\.0\.1:8443 covers a\.test/,
  );
  await good("listener", "https", "update", ...at, "--front-timeout", "7", "--reset-alpn");
  await good("listener", "tcp", "add", "--address", "127.0.0.1:5432");
  await good("frontend", "tcp", "add", "--id", "app", "--address", "127.0.0.1:5432");
  await good("listener", "udp", "add", "--address", "127.0.0.1:5353");
  for (const [protocol, port] of [
    ["tcp", 5432],
    ["udp", 5353],
  ] as const) {
    const refused = await bad("listener", protocol, "activate", "--address", `127.0.0.1:${port}`);
    assert.match(refused, new RegExp(`${protocol.toUpperCase()} traffic is not built yet: activation refused`));
  }
  assert.match(await good("listener", "list"), /HTTPS LISTENERS.*TCP LISTENERS.*UDP LISTENERS/s);
  await good("listener", "list", "--json");
  assert.match(await good("certificate", "list"), new RegExp(`${made.fingerprint}.*shop\\.test`));
  await good("certificate", "list", "--json");
  assert.match(await good("cluster", "list", "--id", "app"), /HTTPS frontends.*TCP frontends/s);
  // No worker has the stored objects, and none is out of step for it.
  assert.doesNotMatch(await good("cluster", "list"), / X /);
  await good("state", "save", "--file", file("state.json"));
  const saved = readFileSync(file("state.json"), "utf8");
  assert.match(saved, /ADD_CERTIFICATE.*PRIVATE KEY/);
  assert.equal(statSync(file("state.json")).mode & 0o777, 0o600);
  assert.equal((await once(proxy.port, request("localhost")))?.status, 200);
  await proxy.stop();

  const other = await startProxy(t, { toml: 'command_socket = "$FOLDER/sozu.sock"\nworker_count = 1\n' });
  const load = await other.run("state", "load", "--file", file("state.json"));
  assert.equal(load.code, 0, load.stderr);
  const again = await other.run("listener", "list", "--json");
  const listeners = JSON.parse(again.stdout).LISTENERS_LIST;
  assert.equal(listeners.https_listeners["127.0.0.1:8443"].front_timeout, 7);
  assert.deepEqual(Object.keys(listeners.tcp_listeners), ["127.0.0.1:5432"]);
  assert.deepEqual(Object.keys(listeners.udp_listeners), ["127.0.0.1:5353"]);
  const resaved = join(other.folder, "state.json");
  assert.equal((await other.run("state", "save", "--file", resaved)).code, 0);
  assert.equal(readFileSync(resaved, "utf8"), saved);
});

test("a cluster whose backends speak HTTP/2 is answered 503 instead of being spoken to in HTTP/1.1", async (t) => {
  const backend = await httpBackend(t, (_request, response) => response.end("ok"));
  const proxy = await startProxy(t, { clusters: { app: { backends: [backend.port] } } });
  assert.equal((await once(proxy.port, request("localhost")))?.status, 200);
  assert.equal((await proxy.run("cluster", "h2", "enable", "--id", "app")).code, 0);
  assert.equal((await once(proxy.port, request("localhost")))?.status, 503);
  assert.doesNotMatch((await proxy.run("cluster", "list")).stdout, / X /);
  assert.equal((await proxy.run("cluster", "h2", "disable", "--id", "app")).code, 0);
  assert.equal((await once(proxy.port, request("localhost")))?.status, 200);
  const unknown = await proxy.run("cluster", "h2", "enable", "--id", "nope");
  assert.match(unknown.stderr, /cluster not found/);
});
