// Certificates by the command line: what is listed (by main and by the workers), added, replaced and removed, and what the
// next handshake shows.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { type MadeCertificate, makeCertificate } from "../test/command/certs.ts";
import { freePort } from "./lib/ports.ts";
import { startProxy } from "./lib/proxy.ts";

/** The fingerprint that a handshake shows, or the error of one that fails. */
function shown(port: number, servername: string): Promise<string> {
  return new Promise((resolve) => {
    const client = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
    client.once("secureConnect", () => {
      resolve(client.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase());
      client.destroy();
    });
    client.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

test("certificates are listed, replaced and removed by the command line; each next handshake sees it", async (t) => {
  const port = await freePort();
  const at = ["--address", `127.0.0.1:${port}`];
  const toml = `command_socket = "$FOLDER/sozu.sock"\nworker_count = 2\n[[listeners]]\nprotocol = "https"\naddress = "127.0.0.1:${port}"\nalpn_protocols = ["http/1.1"]\n`;
  const proxy = await startProxy(t, { toml });
  const root = makeCertificate({ commonName: "Root", names: [] });
  writeFileSync(join(proxy.folder, "root.pem"), root.pem);
  const write = (name: string, made: MadeCertificate): MadeCertificate => {
    writeFileSync(join(proxy.folder, `${name}.pem`), made.pem);
    writeFileSync(join(proxy.folder, `${name}.key`), made.key);
    return made;
  };
  const file = (name: string): string => join(proxy.folder, name);
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await proxy.run(...args);
    assert.equal(code, 0, `${args.join(" ")}\n${stderr}`);
    assert.doesNotMatch(stdout + stderr, /PRIVATE KEY/);
    return stdout;
  };
  const first = write("first", makeCertificate({ names: ["a.test", "*.a.test"], issuer: root }));
  const second = write("second", makeCertificate({ names: ["a.test"], issuer: root }));
  const fallback = write("fallback", makeCertificate({ names: ["other.test"], issuer: root }));
  const files = (name: string, prefix = ""): string[] => [
    `--${prefix}certificate`,
    file(`${name}.pem`),
    `--${prefix}certificate-chain`,
    file("root.pem"),
    `--${prefix}key`,
    file(`${name}.key`),
  ];

  assert.match(await shown(port, "a.test"), /UNRECOGNIZED_NAME|ECONNRESET/);
  await run("certificate", "add", ...at, ...files("first"));
  assert.equal(await shown(port, "a.test"), first.fingerprint);
  assert.equal(await shown(port, "x.a.test"), first.fingerprint);
  assert.match(await run("certificate", "list"), new RegExp(`${first.fingerprint}.*2120.*a\\.test, \\*\\.a\\.test`));
  const workers = await run("certificate", "list", "--workers");
  assert.equal(workers.split(`${first.fingerprint}:\ta.test`).length, 3, workers);

  assert.match(await shown(port, "nobody.test"), /UNRECOGNIZED_NAME|ECONNRESET/);
  await run("certificate", "add", ...at, ...files("fallback"), "--default");
  assert.equal(await shown(port, "nobody.test"), fallback.fingerprint);

  await run("certificate", "replace", ...at, ...files("second", "new-"), "--old-certificate", file("first.pem"));
  assert.equal(await shown(port, "a.test"), second.fingerprint);
  assert.equal(await shown(port, "x.a.test"), fallback.fingerprint);
  const byName = await run("certificate", "list", "--workers", "--domain", "a.test");
  assert.equal(byName.split(`${second.fingerprint}:\ta.test`).length, 3, byName);
  assert.match(await run("certificate", "list", "--workers", "--fingerprint", second.fingerprint), /a\.test/);
  const gone = await proxy.run("certificate", "list", "--workers", "--fingerprint", first.fingerprint);
  assert.match(gone.stderr, /Could not find certificate for this fingerprint/);

  // TLS-12: what cannot be used is refused, and the one before stays.
  const bad = await proxy.run(
    "certificate",
    "replace",
    ...at,
    ...files("first", "new-").slice(0, 4),
    "--new-key",
    file("second.key"),
    "--fingerprint",
    second.fingerprint,
  );
  assert.match(bad.stderr, /it is not the key of this certificate/);
  assert.equal(await shown(port, "a.test"), second.fingerprint);
  await run("certificate", "remove", ...at, "--fingerprint", second.fingerprint);
  assert.equal(await shown(port, "a.test"), fallback.fingerprint);
  await proxy.stop();
});
