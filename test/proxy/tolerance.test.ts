// What a listener may refuse although HTTP allows it, through the whole proxy.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  type HttpListenerObject,
  TOLERANCE_DROP,
  TOLERANCE_PASS,
  TOLERANCE_REFUSE,
} from "../../src/command/objects.ts";
import { METRIC_FRONTEND_PARSE_CAUSE } from "../../src/observe/metrics.ts";
import { WireError } from "../../src/wire/http1/errors.ts";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

/** Asks through a listener with these settings: what the backend got, or the status of the refusal. */
async function ask(settings: Partial<HttpListenerObject>, head: string, body = ""): Promise<string> {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const address = { ip: "127.0.0.1", port };
  rig.must({ kind: "add_http_listener", listener: { ...rig.listenerAt(address), ...settings } });
  const peer = await connect(port);
  peer.send(`${head}\r\n${body}`);
  const answered = peer.has("\r\n\r\n").then((text) => text.slice(9, 12));
  const reached = backend.connection().then(async (back) => {
    const text = await back.has(body === "" ? "\r\n\r\n" : "0\r\n");
    if (body !== "") await back.until((all) => /0\r\n(?:.+\r\n)*\r\n$/.test(all), "the end");
    return body === "" ? text : back.text;
  });
  const result = await Promise.race([answered, reached]);
  reached.catch(() => {});
  answered.catch(() => {});
  peer.socket.destroy();
  backend.close();
  return result;
}

const REQUEST =
  "GET /x HTTP/1.1\r\nHost: a\r\nX_Custom: 1\r\nX-Custom: 2\r\nX_Forwarded_For: 3\r\nContent_Length: 4\r\n";

test("H1-16: names with _ pass apart from those that look like ours, are dropped, or are refused", async () => {
  const passed = await ask({ underscoreNames: TOLERANCE_PASS }, REQUEST);
  assert.match(passed, /X_Custom: 1\r\nX-Custom: 2\r\n/);
  assert.doesNotMatch(passed, /X_Forwarded_For|Content_Length/);
  const dropped = await ask({ underscoreNames: TOLERANCE_DROP }, REQUEST);
  assert.match(dropped, /X-Custom: 2\r\n/);
  assert.doesNotMatch(dropped.replace(/^.*\r\n/, ""), /_/);
  const before = rig.stats.values[METRIC_FRONTEND_PARSE_CAUSE + WireError.UnderscoreInName];
  assert.equal(await ask({ underscoreNames: TOLERANCE_REFUSE }, REQUEST), "400");
  assert.equal(rig.stats.values[METRIC_FRONTEND_PARSE_CAUSE + WireError.UnderscoreInName], before + 1);
  assert.match(await ask({ underscoreNames: TOLERANCE_REFUSE }, "GET / HTTP/1.1\r\nHost: a_b\r\nA-B: _\r\n"), /^GET /);
});

test("H1-16: names with _ in trailers are dropped where they are not to pass", async () => {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
  const body = "1\r\nx\r\n0\r\nX_Sum: 1\r\nX-Sum: 2\r\n\r\n";
  assert.match(await ask({}, head, body), /X_Sum: 1\r\nX-Sum: 2\r\n/);
  for (const underscoreNames of [TOLERANCE_DROP, TOLERANCE_REFUSE]) {
    const got = await ask({ underscoreNames }, head, body);
    assert.match(got, /0\r\nX-Sum: 2\r\n/);
    assert.doesNotMatch(got, /X_Sum/);
  }
});

test("H1-58: dot segments and encoded slashes pass byte for byte, or are refused", async () => {
  const of = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n`;
  for (const target of ["/a/../b", "/%2e%2E/b", "/a%2fb", "/a%5Cb"]) {
    assert.ok((await ask({}, of(target))).startsWith(`GET ${target} HTTP/1.1\r\n`));
  }
  for (const target of ["/a/../b", "/%2e%2E/b", "/.", "http://a/.."]) {
    assert.equal(await ask({ dotSegments: TOLERANCE_REFUSE }, of(target)), "400", target);
  }
  for (const target of ["/a%2fb", "/a%5Cb"]) {
    assert.equal(await ask({ encodedSlashes: TOLERANCE_REFUSE }, of(target)), "400", target);
    assert.match(await ask({ dotSegments: TOLERANCE_REFUSE }, of(target)), /^GET /);
  }
  for (const target of ["/a?x=/../%2f", "/.well-known/a..b"]) {
    const strict = { dotSegments: TOLERANCE_REFUSE, encodedSlashes: TOLERANCE_REFUSE };
    assert.match(await ask(strict, of(target)), /^GET /, target);
  }
});
