import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const entry = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "sozu-cli-"));
test.after(() => rmSync(folder, { recursive: true }));

function sozu(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, ...args], { cwd: folder, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("--help teaches with examples and exits with 0", () => {
  const { status, stdout } = sozu("--help");
  assert.equal(status, 0);
  for (const text of ["start", "status", "shutdown", "backend", "demo", "Examples:", "Exit codes:"]) {
    assert.ok(stdout.includes(text), text);
  }
});

test("a reader of the output that ends early is no error", () => {
  // The reader is gone before the first byte: a pipe whose other end is closed.
  const script = `{ sleep 1; "$0" "$1" --help; echo "code $?" >&2; } | true`;
  const { stderr } = spawnSync("sh", ["-c", script, process.execPath, entry], { cwd: folder, encoding: "utf8" });
  assert.equal(stderr, "code 0\n");
});

test("--version prints the version", () => {
  assert.match(sozu("--version").stdout, /^\d+\.\d+\.\d+\n$/);
});

test("an unknown verb is answered with the nearest one and exit code 2", () => {
  const { status, stderr } = sozu("statsu");
  assert.equal(status, 2);
  assert.match(stderr, /Did you mean status\?/);
});

test("did you mean: verbs below verbs, and flags", () => {
  for (const [words, meant] of [
    ["cluster ad", "add"],
    ["cluster health-check stats", "status"],
    ["listener http actvate", "activate"],
    ["state saev", "save"],
    ["config chek", "check"],
    ["backend add --adress 127.0.0.1:1", "--address"],
    ["cluster add --stiky-session", "--sticky-session"],
    ["status --jsn", "--json"],
  ] as const) {
    const { status, stderr, stdout } = sozu(...words.split(" "));
    assert.equal(status, 2, words);
    assert.match(stderr, new RegExp(`Did you mean (one of )?.*${meant}`), words);
    assert.equal(stdout, "");
  }
});

test("config schema prints JSON", () => {
  const { status, stdout } = sozu("config", "schema");
  assert.equal(status, 0);
  assert.equal(JSON.parse(stdout).properties.listeners.type, "array");
});

test("a missing or wrong option is named, exit code 2", () => {
  const missing = sozu("backend", "add", "--id", "app");
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /--backend-id/);
  const wrong = sozu("status", "--timeout", "soon");
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /number of milliseconds/);
});

test("a proxy that does not run: cause, next step, blank lines around, exit code 1", () => {
  const { status, stderr } = sozu("status");
  assert.equal(status, 1);
  assert.match(stderr, /^\n.*there is no such socket.*\.\/sozu start.*\n\n$/s);
});

test("decisions 7: a broken file does not stop verbs that only need the socket", () => {
  writeFileSync(join(folder, "broken.toml"), 'command_socket = "elsewhere.sock"\n[[[nonsense\n');
  const { stderr } = sozu("shutdown", "-c", "broken.toml");
  assert.match(stderr, /elsewhere\.sock/);
});

test("config check accepts a good file and shows every mistake of a bad one", () => {
  writeFileSync(
    join(folder, "good.toml"),
    'worker_count = 1\n[[listeners]]\nprotocol = "http"\naddress = "127.0.0.1:81"\n',
  );
  const good = sozu("config", "check", "-c", "good.toml");
  assert.deepEqual(good, { status: 0, stdout: "Configuration file is valid\n", stderr: "" });
  writeFileSync(join(folder, "bad.toml"), "worker_cuont = 1\nmax_connections = 0\n");
  const bad = sozu("config", "check", "-c", "bad.toml");
  assert.equal(bad.status, 1);
  assert.match(bad.stderr, /bad\.toml:1:1/);
  assert.match(bad.stderr, /bad\.toml:2:/);
  assert.equal(sozu("start", "-c", "bad.toml").status, 1);
});

test("--unknown-keys=warn lets a file with unknown keys through", () => {
  writeFileSync(join(folder, "newer.toml"), "worker_cuont = 1\n");
  const { status, stderr } = sozu("config", "check", "-c", "newer.toml", "--unknown-keys=warn");
  assert.equal(status, 0);
  assert.match(stderr, /warning/);
});

test("a wrong address is refused before anything is sent", () => {
  const { status, stderr } = sozu("backend", "add", "--id", "a", "--backend-id", "b", "--address", "localhost:80");
  assert.equal(status, 2);
  assert.match(stderr, /"localhost:80" is not an address\n {2}next: write ip:port/);
});

const RULE = ["frontend", "http", "add", "--address", "127.0.0.1:80", "--hostname", "a.test"];

/** Command lines that are refused before anything is sent: exit code and a part of the message. */
const REFUSED: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["cluster", "add", "--id", "a", "--load-balancing-policy", "roundrobin"], 2, /did you mean round_robin\?/],
  [["cluster", "add", "--id", "a"], 2, /--load-balancing-policy/],
  [["cluster", "list", "--id", "a", "--domain", "b"], 1, /Please provide either one/],
  [["frontend", "tcp", "add", "--id", "a"], 2, /--address/],
  [["certificate", "remove", "-a", "127.0.0.1:1"], 1, /give exactly one of --certificate and --fingerprint/],
  [["certificate", "remove", "-a", "127.0.0.1:1", "-f", "ab"], 1, /"ab" is not a fingerprint/],
  [["certificate", "remove", "-a", "127.0.0.1:1", "--cert", "none.pem"], 1, /there is no file none.pem/],
  [["certificate", "add", "-a", "127.0.0.1:1"], 2, /--certificate/],
  [["listener", "https", "add", "-a", "127.0.0.1:1", "--tls-versions", "TLS_V9"], 2, /is not a version of TLS/],
  [["listener", "https", "update", "-a", "127.0.0.1:1", "--hsts-disabled", "--hsts-preload"], 2, /cannot be combined/],
  [
    ["listener", "https", "update", "-a", "127.0.0.1:1", "--reset-alpn", "--alpn-protocols", "h2"],
    2,
    /cannot be combined/,
  ],
  [["listener", "tcp", "update", "-a", "127.0.0.1:1", "--sticky-name", "a"], 2, /unknown option/],
  [["cluster", "lsit"], 2, /Did you mean list\?/],
  [["cluster", "health-check", "set", "-u", "/"], 2, /--id/],
  [["cluster", "add", "-i", "a", "--load-balancing-policy", "hrw", "--answer", "503="], 1, /"503=" is not an answer/],
  [["cluster", "add", "-i", "a", "--load-balancing-policy", "hrw", "--answer", "503=file://no"], 1, /no file no/],
  [["cluster", "add", "-i", "a", "--load-balancing-policy", "hrw", "--https-redirect-port", "0"], 1, /1 to 65535/],
  [
    ["cluster", "add", "-i", "a", "--load-balancing-policy", "hrw", "--authorized-hash", "ann:ab"],
    1,
    /64 hexadecimal digits/,
  ],
  [
    [...RULE, "--redirect", "permanant", "id", "a"],
    1,
    /"permanant" is not a redirect\n {2}next: did you mean permanent\?/,
  ],
  [[...RULE, "--redirect-scheme", "ftp", "id", "a"], 1, /is not a redirect scheme/],
  [[...RULE, "--header", "request=X", "id", "a"], 1, /"request=X" is not a header edit/],
  [[...RULE, "--header", "nowhere=X=a", "id", "a"], 1, /"nowhere" is not a position of a header/],
  [[...RULE, "--required-auth", "idd", "a"], 2, /Did you mean id\?/],
  [[...RULE, "--required-auth", "false", "idd", "a"], 2, /Did you mean id\?/],
  [[...RULE, "--required-auth=maybe", "id", "a"], 2, /true or false/],
  [[...RULE, "--hsts-disabled", "deny"], 1, /--hsts-disabled: plain HTTP cannot carry it/],
  [[...RULE, "--path-prefix", "/", "--path-equals", "/", "deny"], 2, /one path rule/],
  [[...RULE, "--tags", "a=b,c", "deny"], 2, /"c" is not a tag/],
  [[...RULE, "idd", "a"], 2, /Did you mean id\?/],
  [["frontend", "http", "add", "--address", "127.0.0.1:80", "deny"], 2, /--hostname is missing/],
  [["listener", "http", "add", "--address", "here"], 2, /"here" is not an address/],
  [["listener", "http", "add", "--address", "127.0.0.1:1", "--front-timeout", "1s"], 2, /number of seconds/],
  [["listener", "http", "update", "-a", "127.0.0.1:1", "--answer-404", "none.http"], 1, /there is no file none.http/],
  [["listener", "http", "update", "-a", "127.0.0.1:1", "--h2-max-ping-per-window", "x"], 2, /a number from 0/],
  [["connection-limit", "set", "many"], 2, /a number from 0 to 4294967295/],
  [["connection-limit", "sho"], 2, /Did you mean show\?/],
  [["upgrade", "--worker", "x"], 2, /a number from 0/],
  [["metrics", "detail", "everything"], 2, /process, frontend, cluster, backend/],
  [["metrics", "get", "--refresh", "1s"], 2, /number of seconds/],
  [["top", "--snapshot", "0"], 2, /a number from 1/],
  [["state", "save"], 2, /--file/],
  [["logging"], 2, /missing required argument 'filter'/],
  [["logging", "info", "debug"], 2, /too many arguments/],
];

test("what is not understood, or not built yet, is said before anything is sent", async () => {
  for (const [args, exitCode, message] of REFUSED) {
    const { status, stderr } = sozu(...args);
    assert.equal(status, exitCode, `${args.join(" ")}\n${stderr}`);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /no such socket/);
  }
});
