// The three proxies under test, configured to do the same work: keep-alive on both sides, one shared pool of backend
// connections, X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Port added, one access line per request
// to a file. What is not equal is listed in UNEQUAL and printed with the results.

import type { ChildProcess } from "node:child_process";
import { mkdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../../e2e/lib/ports.ts";
import { makeCertificate } from "../../test/command/certs.ts";
import { childWith, DESCRIPTORS, PROXY_CORE, start, stop, waitForPort } from "./processes.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The differences that remain. */
export const UNEQUAL = [
  "Only Sozu makes a ULID per request, adds Forwarded, X-Request-Id and Sozu-Id to it, Sozu-Id to the answer, and keeps " +
    "four histograms per cluster and backend. Its access line is the longest: about 330 bytes (nginx 170, HAProxy 190).",
  "nginx and Sozu write access lines in batches (nginx: buffer=32k); HAProxy cannot batch, it writes each line by itself.",
  "Over TLS Sozu uses the OpenSSL of Node, the others that of the system. Two tickets for each full handshake everywhere; " +
    "one P-256 certificate.",
  "nginx relays a body through up to 16 buffers of 16 kB, Sozu and HAProxy through at most two.",
] as const;

/** The names, in the order of the table. */
export const TARGET_NAMES = ["sozu", "nginx", "haproxy"] as const;
export type TargetName = (typeof TARGET_NAMES)[number];

/** A running proxy. */
export interface Target {
  readonly name: TargetName;
  readonly port: number;
  /** The process that serves traffic. */
  readonly pid: number;
  stop(): Promise<void>;
}

/** Files in PEM; HAProxy wants both in one. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly both: string;
}

/** Writes a self-signed P-256 certificate for localhost. */
export function writeCertificate(folder: string): Certificate {
  const { pem, key } = makeCertificate({ names: ["localhost"] });
  const paths = {
    certificate: join(folder, "certificate.pem"),
    key: join(folder, "key.pem"),
    both: join(folder, "both.pem"),
  };
  writeFileSync(paths.certificate, pem);
  writeFileSync(paths.key, key);
  writeFileSync(paths.both, pem + key);
  return paths;
}

/** How to run it. */
export interface TargetOptions {
  readonly backendPort: number;
  readonly folder: string;
  readonly accessLog: boolean;
  /** Listen with TLS, with this certificate. */
  readonly tls?: Certificate;
  /** Sozu routes this many hosts more: `h0.bench.test` and on. */
  readonly hosts?: number;
  /** A folder with a certificate for each of these hosts (certificates.ts). */
  readonly certificates?: string;
  /** More clusters for Sozu's configuration, given the listener's port. */
  readonly clusters?: (port: number) => string;
  /** Peers add no header to requests. Default false. */
  readonly plainPeers?: boolean;
  /** Flags for the Node of Sozu's worker. */
  readonly nodeOptions?: string;
  /** Of Sozu. Default `on`, `off` with a wrapper. */
  readonly sandbox?: string;
  /** Put before the serving process, e.g. `/usr/bin/valgrind ...`: an absolute path. */
  readonly wrapper?: readonly string[];
}

export async function startTarget(name: TargetName, options: TargetOptions): Promise<Target> {
  const kind = `${options.hosts === undefined ? "" : `-${options.hosts}`}${options.certificates === undefined ? "" : "-tls"}`;
  const folder = join(options.folder, `${name}${kind}`);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const starters = { sozu: startSozu, nginx: startNginx, haproxy: startHaproxy };
  const command = starters[name](folder, port, options);
  const wrapper = name === "sozu" ? [] : (options.wrapper ?? []);
  const child = start([...limits(), ...wrapper, ...command], {
    core: PROXY_CORE,
    log: join(folder, "out.log"),
    env: environment(options),
    cwd: folder,
  });
  await waitForPort(port);
  const pid = name === "sozu" ? await workerOf(child) : servingPid(child, name);
  return { name, port, pid, stop: () => stop(child) };
}

function environment(options: TargetOptions): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  delete env["NODE_OPTIONS"];
  if (options.nodeOptions !== undefined) env["SOZU_WORKER_NODE_OPTIONS"] = options.nodeOptions;
  if (options.wrapper !== undefined) env["SOZU_BENCH_NODE"] = join(options.folder, "node-wrapped");
  return env;
}

/** taskset and prlimit exec, so the child is the server itself; valgrind is the server, too. */
function servingPid(child: ChildProcess, name: string): number {
  if (child.pid === undefined || child.exitCode !== null) throw new Error(`${name} did not start`);
  return child.pid;
}

async function workerOf(child: ChildProcess): Promise<number> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const pid = childWith(servingPid(child, "sozu"), "/worker/");
    if (pid !== null) return pid;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("no worker of sozu was found");
}

function startSozu(folder: string, port: number, options: TargetOptions): string[] {
  writeFileSync(
    join(folder, "config.toml"),
    `command_socket = "${join(folder, "sozu.sock")}"
worker_count = 1
worker_timeout = 120
max_connections = ${Math.floor(DESCRIPTORS / 2) - 100}
sandbox = "${options.sandbox ?? (options.wrapper === undefined ? "on" : "off")}"
log_level = "warn"
access_logs_target = "${options.accessLog ? `file://${join(folder, "access.log")}` : "off"}"

[[listeners]]
address = "127.0.0.1:${port}"
protocol = "${options.tls === undefined ? "http" : "https"}"
${tlsOf(options, (tls) => `certificate = "${tls.certificate}"\nkey = "${tls.key}"\nsend_tls13_tickets = 2`)}

[clusters.bench]
protocol = "http"
frontends = [
  { address = "127.0.0.1:${port}", hostname = "localhost" },
  { address = "127.0.0.1:${port}", hostname = "127.0.0.1" },
${moreHosts(port, options)}]
backends = [{ address = "127.0.0.1:${options.backendPort}" }]

${options.clusters?.(port) ?? ""}`,
  );
  const release = join(root, ".releases", readlinkSync(join(root, ".releases", "current")));
  const node = [join(release, "bin", "node"), "--disable-sigusr1"];
  if (options.wrapper !== undefined) {
    const script = `#!/bin/sh\nexec ${options.wrapper.join(" ")} ${node[0]} "$@"\n`;
    writeFileSync(join(options.folder, "node-wrapped"), script, { mode: 0o755 });
    node.push(`--require=${join(root, "bench", "lib", "wrap-worker.cjs")}`);
  }
  return [...node, join(release, "js", "cli", "main.js"), "start", "-c", join(folder, "config.toml")];
}

function moreHosts(port: number, { hosts = 0, certificates }: TargetOptions): string {
  let lines = "";
  for (let i = 0; i < hosts; i++) {
    const files =
      certificates === undefined
        ? ""
        : `, certificate = "${certificates}/${i}.pem", certificate_chain = "${certificates}/chain.pem", key = "${certificates}/${i}.key"`;
    lines += `  { address = "127.0.0.1:${port}", hostname = "h${i}.bench.test"${files} },\n`;
  }
  return lines;
}

function startNginx(folder: string, port: number, options: TargetOptions): string[] {
  const headers = options.plainPeers
    ? ""
    : `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port;`;
  const log = options.accessLog ? `${join(folder, "access.log")} bench buffer=32k flush=1s` : "off";
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off;
master_process off;
worker_processes 1;
pid ${join(folder, "nginx.pid")};
error_log ${join(folder, "error.log")} error;
events { worker_connections ${DESCRIPTORS}; multi_accept on; }
http {
  log_format bench '$remote_addr:$remote_port [$time_iso8601] $upstream_addr $request_time/$upstream_response_time '
    '$request_length $bytes_sent "$host" "$request" $status "$http_user_agent"';
  access_log ${log};
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_temp_path ${join(folder, "body")};
  proxy_temp_path ${join(folder, "proxy")};
  fastcgi_temp_path ${join(folder, "fastcgi")};
  uwsgi_temp_path ${join(folder, "uwsgi")};
  scgi_temp_path ${join(folder, "scgi")};
  proxy_max_temp_file_size 0;
  proxy_buffer_size 16k;
  proxy_buffers 16 16k;
  client_body_buffer_size 16k;
  upstream bench {
    server 127.0.0.1:${options.backendPort};
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port}${options.tls === undefined ? "" : " ssl"} backlog=4096;
    ${tlsOf(options, (tls) => `ssl_certificate ${tls.certificate};\n    ssl_certificate_key ${tls.key};`)}
    ssl_protocols TLSv1.2 TLSv1.3;
    server_name localhost;
    location / {
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      ${headers}
    }
  }
}
`,
  );
  return ["nginx", "-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")];
}

function startHaproxy(folder: string, port: number, options: TargetOptions): string[] {
  const headers = options.plainPeers
    ? ""
    : `  option forwardfor
  http-request set-header X-Forwarded-Proto ${options.tls === undefined ? "http" : "https"}
  http-request set-header X-Forwarded-Port %[dst_port]`;
  writeFileSync(
    join(folder, "haproxy.cfg"),
    `global
  nbthread 1
  maxconn ${Math.floor(DESCRIPTORS / 2) - 100}
  ${options.accessLog ? "log stdout format raw local0 info" : ""}
defaults
  mode http
  ${options.accessLog ? "log global\n  option httplog" : "no log"}
  option http-keep-alive
  http-reuse always
  timeout client 3600s
  timeout server 3600s
  timeout connect 3s
  timeout http-keep-alive 3600s
frontend bench
  bind 127.0.0.1:${port} ${tlsOf(options, (tls) => `ssl crt ${tls.both} alpn http/1.1`)} backlog 4096
${headers}
  default_backend bench
backend bench
  server one 127.0.0.1:${options.backendPort} pool-max-conn 1024
`,
  );
  return ["haproxy", "-db", "-f", join(folder, "haproxy.cfg")];
}

function tlsOf(options: TargetOptions, text: (tls: Certificate) => string): string {
  return options.tls === undefined ? "" : text(options.tls);
}

/** Room for the idle-connection cases; also for a wrapped program, because prlimit execs. */
function limits(): string[] {
  return ["prlimit", `--nofile=${DESCRIPTORS}`];
}
