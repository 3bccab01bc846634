// A listener changed while it runs (spec 14 `listener_update`, HTTP rows): its settings change, its connections stay.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { getsockname, listenTcp } from "../../src/os/listeners.ts";
import { backendOf, clusterOf, frontendOf, Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig();
after(() => rig.stop());

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

test("test_timeout_patch: a running connection stays and lives by the new settings", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const address = { ip: "127.0.0.1", port };
  const client = await connect(port);
  client.send(GET);
  const carrier = await backend.connection();
  await carrier.has("Sozu-Id: ");
  rig.must({
    kind: "add_http_listener",
    listener: { ...rig.listenerAt(address, { frontTimeout: 1 }), sozuIdHeader: "Trace-Id" },
  });
  carrier.clear();
  carrier.send(OK);
  await client.has("Trace-Id: ");
  await client.has("hi");
  client.clear();
  client.send(GET);
  await carrier.has("Trace-Id: ");
  carrier.send(OK);
  await client.has("hi");
  client.clear();
  assert.equal(await client.end(), "", "the idle connection is closed by the new front timeout");
  const later = await connect(port);
  later.send(GET);
  await carrier.until((text) => text.split("Trace-Id: ").length === 3, "the next request");
  later.socket.destroy();
  backend.close();
});

test("test_update_on_deactivated_listener: the change is there when the listener is activated", async () => {
  const fd = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
  const bound = getsockname(fd);
  assert.ok(bound !== null && typeof bound !== "number");
  rig.must({ kind: "add_http_listener", listener: rig.listenerAt(bound) });
  rig.must({ kind: "add_http_listener", listener: { ...rig.listenerAt(bound), sozuIdHeader: "Trace-Id" } });
  const backend = await RawBackend.start();
  rig.must({ kind: "add_cluster", cluster: clusterOf("patched") });
  rig.must({ kind: "add_backend", backend: backendOf("patched", backend.port) });
  rig.must({ kind: "add_http_frontend", frontend: frontendOf("patched", bound) });
  assert.equal(rig.proxy.activate(bound, fd), null);
  const client = await connect(bound.port);
  client.send(GET);
  await (await backend.connection()).has("\r\nTrace-Id: ");
  client.socket.destroy();
  backend.close();
});

test("test_no_op_patch: the same settings once more change nothing, routes included", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port]);
  const address = { ip: "127.0.0.1", port };
  rig.must({ kind: "add_http_listener", listener: rig.listenerAt(address) });
  assert.notEqual(
    rig.proxy.apply({ kind: "add_http_frontend", frontend: frontendOf(`app-${port}`, address) }),
    null,
    "the route is still there, so it cannot be added again",
  );
  const client = await connect(port);
  client.send(GET);
  const carrier = await backend.connection();
  await carrier.has("\r\n\r\n");
  carrier.send(OK);
  await client.has("hi");
  client.socket.destroy();
  backend.close();
});

test("test_not_found: a change for an address without listener is refused", () => {
  const address = { ip: "127.0.0.1", port: 9 };
  assert.match(String(rig.proxy.apply({ kind: "deactivate_http_listener", address })), /no listener/);
  assert.match(String(rig.proxy.apply({ kind: "remove_http_listener", address })), /no listener/);
});
