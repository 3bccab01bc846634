// Runs testssl.sh (Debian package) against an HTTPS listener with default settings and prints its findings by severity
// (hardening TLS-19).
//
//   npm run conformance:tls [-- --check]      without --check the summary is written to conformance/testssl.md
//
// A finding above LOW ends with exit code 1, but for those that a self-signed certificate causes. Without testssl.sh it
// says so and ends with 0.

import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { httpBackend } from "../e2e/lib/backend.ts";
import { startProxy } from "../e2e/lib/proxy.ts";
import { makeCertificate } from "../test/command/certs.ts";

/** From harmless to bad, as testssl.sh names them; WARN is a check that could not be made. */
const SEVERITIES = ["OK", "INFO", "WARN", "LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"];
const BAD = new Set(["MEDIUM", "HIGH", "CRITICAL", "FATAL"]);
/** What is said of any self-signed certificate. */
const SELF_SIGNED: Readonly<Record<string, string>> = {
  cert_chain_of_trust: "the certificate is self-signed",
  cert_revocation: "a self-signed certificate names nobody who could revoke it",
};
const TESTSSL = "testssl";

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

async function main(): Promise<void> {
  const version = versionOf();
  if (version === null) {
    console.log("skipped: testssl.sh is not there (apt-get install testssl.sh)");
    return;
  }
  const cleanups: (() => void | Promise<void>)[] = [];
  try {
    await run(version, { after: (cleanup) => void cleanups.unshift(cleanup) });
  } finally {
    for (const cleanup of cleanups) await cleanup();
  }
}

async function run(version: string, scope: { after(cleanup: () => void | Promise<void>): void }): Promise<void> {
  const recipe = { commonName: "localhost", names: ["localhost"], notBefore: inDays(-1), notAfter: inDays(89) };
  const { pem, key } = makeCertificate(recipe);
  const backend = await httpBackend(scope, (_request, response) => {
    response.setHeader("Content-Security-Policy", "default-src 'self'");
    response.end("hello\n");
  });
  const proxy = await startProxy(scope, {
    listener: { protocol: "https", certificate: "localhost.pem", key: "localhost.key", "hsts.enabled": true },
    clusters: {
      app: {
        frontends: ["localhost"],
        backends: [backend.port],
      },
    },
    before: (folder) => {
      writeFileSync(join(folder, "localhost.pem"), pem);
      writeFileSync(join(folder, "localhost.key"), key);
    },
  });
  const report = join(proxy.folder, "testssl.json");
  const options = ["--quiet", "--warnings", "off", "--color", "0", "--ip", "127.0.0.1"];
  await execute([...options, "--jsonfile", report, `localhost:${proxy.port}`]);
  const findings = JSON.parse(readFileSync(report, "utf8")) as Finding[];
  const text = summaryOf(findings, version, [TESTSSL, ...options, "localhost:<port>"].join(" "));
  if (!process.argv.includes("--check")) writeFileSync(new URL("testssl.md", import.meta.url), text);
  const bad = findings.filter(({ id, severity }) => BAD.has(severity) && SELF_SIGNED[id] === undefined);
  for (const { id, severity, finding } of bad) console.log(`${severity} ${id}: ${finding}`);
  if (!findings.some(({ id, severity }) => id === "TLS1_3" && severity === "OK")) throw new Error("nothing was tested");
  console.log(`testssl.sh: ${findings.length} findings, ${bad.length} problems`);
  process.exitCode = bad.length > 0 ? 1 : 0;
}

function versionOf(): string | null {
  const { stdout } = spawnSync(TESTSSL, ["--version", "--color", "0"], { encoding: "utf8", timeout: 30_000 });
  return /testssl\S*\s+([\d.]+\w*)/.exec(stdout ?? "")?.[1] ?? null;
}

/** Its exit code counts findings; whether it worked is seen in the report. */
function execute(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(TESTSSL, args, { stdio: "ignore", timeout: 400_000 });
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}

function summaryOf(findings: readonly Finding[], version: string, command: string): string {
  const count = (severity: string): number => findings.filter((one) => one.severity === severity).length;
  const rows = SEVERITIES.filter((severity) => count(severity) > 0).map((one) => `| ${one} | ${count(one)} |`);
  const worth = findings.filter(({ severity }) => severity !== "OK" && severity !== "INFO");
  const lines = worth.map(({ id, severity, finding }) => {
    const why = SELF_SIGNED[id];
    return `| ${severity} | \`${id}\` | ${finding.replaceAll("|", "\\|")} | ${why ?? ""} |`;
  });
  return `# testssl.sh

Report of testssl.sh ${version} on an HTTPS listener with default settings, of ${new Date().toISOString().slice(0, 10)}; written by
\`npm run conformance:tls\`, which starts a proxy with a self-signed ECDSA certificate and calls

    ${command}

| Severity | Findings |
|---|---|
${rows.join("\n")}

All that is neither OK nor INFO (WARN: a check that testssl.sh could not make):

| Severity | Check | Finding | Reason |
|---|---|---|---|
${lines.join("\n")}
`;
}

function inDays(days: number): Date {
  return new Date(Date.now() + days * 86_400_000);
}

await main();
