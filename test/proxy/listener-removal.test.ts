// Removing a listener gives back what its routes held, also when it happens a thousand times.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { clusterOf, frontendOf, Rig } from "./rig.ts";

const rig = new Rig();
after(() => rig.stop());

test("the clusters of a removed listener's routes are forgotten once they are removed too", () => {
  const before = rig.proxy.clusters.size;
  for (let i = 0; i < 1000; i++) {
    const address = { ip: "127.0.0.1", port: 2000 };
    rig.must({ kind: "add_http_listener", listener: rig.listenerAt(address) });
    rig.must({ kind: "add_cluster", cluster: clusterOf(`c${i}`) });
    rig.must({ kind: "add_http_frontend", frontend: frontendOf(`c${i}`, address) });
    rig.must({ kind: "remove_http_listener", address });
    rig.must({ kind: "remove_cluster", clusterId: `c${i}` });
  }
  assert.equal(rig.proxy.clusters.size, before);
});
