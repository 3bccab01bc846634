// What others may import of the configuration room, and what the package exports as `sozu/config`.

export {
  type BackendInput,
  type ClusterInput,
  type ConfigInput,
  defineConfig,
  type FrontendInput,
  type ListenerInput,
} from "./define.ts";
export { type LoadedSocketSettings, loadConfig, loadSocketSettings } from "./load.ts";
export type { BrokenConfig, ConfigResult, ParsedConfig, ParseOptions } from "./parse.ts";
export { type ConfigProblem, renderProblem, renderProblems } from "./problems.ts";
export { type GlobalSettings, workerSettings } from "./settings.ts";
export type { SocketSettings } from "./socket.ts";
