// The backend behind every proxy: nginx answering from memory (95 bytes) and from files in the page cache (16 kB, 1 MB).

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../e2e/lib/ports.ts";
import { DESCRIPTORS, LOAD_CORE, start, waitForPort } from "./processes.ts";

/** Body of the small answer: 95 bytes. */
export const SMALL_BODY = "0123456789".repeat(10).slice(0, 95);

/** Starts it on the load core; resolves with its port. */
export async function startBackend(folder: string): Promise<number> {
  const port = await freePort();
  const own = join(folder, "backend");
  mkdirSync(join(own, "files"), { recursive: true });
  writeFileSync(join(own, "files", "16k"), Buffer.alloc(16 * 1024, 0x61));
  writeFileSync(join(own, "files", "1m"), Buffer.alloc(1024 * 1024, 0x62));
  writeFileSync(
    join(own, "nginx.conf"),
    `daemon off;
master_process off;
worker_processes 1;
pid ${join(own, "nginx.pid")};
error_log ${join(own, "error.log")} error;
events { worker_connections ${DESCRIPTORS}; multi_accept on; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=10 inactive=1h;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_body_buffer_size 64k;
  client_body_temp_path ${join(own, "body")};
  proxy_temp_path ${join(own, "proxy")};
  fastcgi_temp_path ${join(own, "fastcgi")};
  uwsgi_temp_path ${join(own, "uwsgi")};
  scgi_temp_path ${join(own, "scgi")};
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { default_type text/plain; return 200 "${SMALL_BODY}"; }
    location /files/ { alias ${join(own, "files")}/; }
  }
}
`,
  );
  const command = [
    "prlimit",
    `--nofile=${DESCRIPTORS}`,
    "nginx",
    "-p",
    own,
    "-c",
    join(own, "nginx.conf"),
    "-e",
    join(own, "error.log"),
  ];
  start(command, { core: LOAD_CORE, log: join(own, "out.log"), cwd: own });
  await waitForPort(port);
  return port;
}
