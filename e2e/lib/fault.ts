// Loaded into workers before their own code (SOZU_WORKER_NODE_OPTIONS=--import=...): SIGUSR2 then does what SOZU_FAULT
// names. So the product has no code for faults.

function fill(): void {
  const kept: number[][] = [];
  for (;;) kept.push(new Array(100_000).fill(kept.length));
}

function spin(): void {
  for (;;);
}

const faults: Readonly<Record<string, () => void>> = {
  throw: () => {
    throw new Error("a fault of the test");
  },
  loop: spin,
  memory: fill,
};

process.on("SIGUSR2", faults[process.env["SOZU_FAULT"] ?? "throw"] ?? spin);
