// Connections that have been silent for a whole zombie_check_interval are closed and counted (spec 13.3).

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { METRIC_ZOMBIES } from "../../src/observe/metrics.ts";
import { Rig } from "./rig.ts";
import { connect, RawBackend } from "./wire-peers.ts";

const rig = new Rig({ zombieCheckInterval: 1 });
after(() => rig.stop());

test("test_h1_idle_connection_zombie_metric_increments: the silent one is closed, the active one is not", async () => {
  const backend = await RawBackend.start();
  const port = rig.listen([backend.port], { frontTimeout: 60, requestTimeout: 60, backTimeout: 60 });
  const silent = await connect(port);
  silent.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await (await backend.connection()).has("\r\n\r\n");
  const active = await connect(port);
  const timer = setInterval(() => active.send("X"), 100);
  assert.equal(await silent.end(), "");
  clearInterval(timer);
  assert.equal(rig.stats.values[METRIC_ZOMBIES], 1);
  assert.equal(rig.proxy.sessions, 1);
  active.socket.destroy();
  backend.close();
});
