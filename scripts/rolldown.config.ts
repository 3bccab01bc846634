// How the worker is bundled for a release: one module, Node's own modules left outside, constants inlined.

import { defineConfig } from "rolldown";
import { plainFields } from "./plain-fields.ts";

export default defineConfig({
  input: "src/worker/boot.ts",
  platform: "node",
  external: [/^node:/],
  optimization: { inlineConst: { mode: "all", pass: 3 } },
  output: { format: "esm", codeSplitting: false, plugins: [plainFields()] },
});
