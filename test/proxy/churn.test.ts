// RX-12 in small: more connections in sequence than are allowed at once. Whatever a connection takes, it gives back.

import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { Rig } from "./rig.ts";

const rig = new Rig({ maxConnections: 8, maxBuffers: 8 });
after(() => rig.stop());

test("RX-12 a hundred times as many connections as are allowed at once are all served", async () => {
  const backend = http.createServer((_request, response) => response.end("hi"));
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  const port = rig.listen([(backend.address() as AddressInfo).port]);
  for (let round = 0; round < 200; round++) {
    const answers = await Promise.all([1, 2, 3, 4].map(() => fetch(port)));
    assert.deepEqual(answers, [200, 200, 200, 200], `round ${round}`);
  }
  backend.close();
  backend.closeAllConnections();
  const { context, http: shared } = rig.proxy;
  assert.equal(shared.exchanges.active, 0);
  assert.equal(context.slots.inUse, 0);
  assert.equal(context.buffers.inUse, 0);
});

function fetch(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get(
      { port, host: "127.0.0.1", agent: false, headers: { Connection: "close" } },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode ?? 0));
      },
    );
    request.on("error", reject);
  });
}
