// Preloaded into the worker by the memory benchmark (with --expose-gc): SIGUSR2 forces a full collection.
process.on("SIGUSR2", () => {
  for (let pass = 0; pass < 3; pass++) globalThis.gc();
});
