// The verbs for listeners: on which addresses the proxy accepts.

import { type Command, Option } from "commander";
import type { ListenerOptions, Protocol } from "../listener.ts";
import type { ListenerUpdateOptions } from "../listener-update.ts";
import { count, flag, given, globals, hstsOptions, repeated, seconds } from "../options.ts";

export function addListenerVerbs(program: Command): void {
  const listener = program.command("listener").description("decide on which addresses the proxy accepts");
  addHttpVerbs(listener);
  addHttpsVerbs(listener);
  addTcpVerbs(listener);
  addUdpVerbs(listener);
  listener
    .command("list")
    .description("show all listeners")
    .action(async (_own: object, command: Command) => {
      const { control } = await import("../control.ts");
      await control(globals(command), { case: "listListeners", value: {} });
    });
}

function addHttpVerbs(listener: Command): void {
  const { add, update } = addVerbs(listener.command("http").description("HTTP listeners"), "http");
  addHttpOptions(add, update);
  add.addHelpText("after", HELP);
}

/** What HTTP listeners have, with TLS or without. */
function addHttpOptions(add: Command, update: Command): void {
  add
    .option("--expect-proxy", "clients send a PROXY protocol header first")
    .option("--answer-404 <path>", "file of that answer")
    .option("--answer-503 <path>", "file of that answer");
  update
    .option("--expect-proxy", "clients send a PROXY protocol header first")
    .option("--no-expect-proxy", "they do not")
    .option("--sozu-id-header <name>", "name of the correlation header")
    .option("--elide-x-real-ip <bool>", "remove X-Real-IP of clients", flag)
    .option("--send-x-real-ip <bool>", "send X-Real-IP to backends", flag)
    .option("--reset-answer <status>", "take this answer of the listener away; may be repeated", repeated)
    .option("--reset-trusted-proxies", "trust X-Forwarded-* of any client")
    .addHelpText("after", `\nHTTP/2: ${HTTP2_FLAGS.map((name) => `--h2-${name}`).join(", ")}.`);
  for (const status of ANSWER_FLAGS) update.option(`--answer-${status} <path>`, "file of that answer");
  for (const name of HTTP2_FLAGS) update.addOption(new Option(`--h2-${name} <n>`).argParser(count).hideHelp());
  for (const verb of [add, update]) changeable(verb);
}

function addHttpsVerbs(listener: Command): void {
  const { add, update } = addVerbs(listener.command("https").description("HTTPS listeners"), "https");
  addHttpOptions(add, update);
  add
    .option("--tls-versions <version>", "TLS_V12 or TLS_V13; may be repeated; default: both", repeated)
    .option("--tls-cipher-list <name,...>", "default: the built-in ones");
  update
    .option("--alpn-protocols <name,...>", "of h2 and http/1.1, in order of preference")
    .option("--reset-alpn", "both")
    .option("--strict-sni-binding", "requests must be for the host that the client asked for")
    .option("--no-strict-sni-binding", "or for any other of the listener")
    .option("--disable-http11", "refuse clients that do not speak HTTP/2")
    .option("--enable-http11", "serve them");
  update.option("--reset-client-auth", "clients are not asked for certificates");
  for (const verb of [add, update]) {
    hstsOptions(verb);
    verb
      .option("--client-ca <path>", "PEM file of the authorities that issue certificates of clients")
      .option("--client-auth <how>", "required (the default) or optional")
      .option("--client-subject-header <name>", "request header for the subject of a client's certificate")
      .option("--client-fingerprint-header <name>", "request header for its SHA-256");
  }
}

function addTcpVerbs(listener: Command): void {
  const { add, update } = addVerbs(listener.command("tcp").description("TCP listeners"), "tcp");
  add.option("--expect-proxy", "clients send a PROXY protocol header first");
  update
    .option("--expect-proxy", "clients send a PROXY protocol header first")
    .option("--no-expect-proxy", "they do not");
  for (const verb of [add, update]) {
    verb
      .option("--back-timeout <seconds>", "silence of a backend", seconds)
      .option("--connect-timeout <seconds>", "for connecting to a backend", seconds);
  }
}

function addUdpVerbs(listener: Command): void {
  const { add, update } = addVerbs(listener.command("udp").description("UDP listeners"), "udp");
  for (const verb of [add, update]) {
    verb
      .option("--back-timeout <seconds>", "after the last answer of a backend", seconds)
      .option("--max-rx-datagram-size <bytes>", "longer datagrams are dropped", count)
      .option("--max-flows <n>", "clients at a time; 0: as many as descriptors allow", count);
  }
}

/** The five verbs of a protocol; `add` and `update` get their own options from the caller. */
function addVerbs(parent: Command, protocol: Protocol): { readonly add: Command; readonly update: Command } {
  const add = addressed(parent, "add", "add a listener; it accepts once it is activated")
    .option("--public-address <ip:port>", "what forwarding headers and logs call it")
    .option("--front-timeout <seconds>", "silence of a client", seconds)
    .action(async (_own: object, command: Command) => {
      const { addListener } = await import("../listener.ts");
      await addListener(protocol, given<ListenerOptions>(command));
    });
  for (const [verb, request, text] of SWITCHES) {
    addressed(parent, verb, text).action(async (_own: object, command: Command) => {
      const { changeListener } = await import("../listener.ts");
      await changeListener(request, protocol, given<ListenerOptions>(command));
    });
  }
  const text = "change a listener in place; only what is given changes, connections stay";
  const update = addressed(parent, "update", text)
    .option("--public-address <ip:port>", "what forwarding headers and logs call it")
    .option("--front-timeout <seconds>", "silence of a client", seconds)
    .action(async (_own: object, command: Command) => {
      const { updateListener } = await import("../listener-update.ts");
      await updateListener(protocol, given<ListenerUpdateOptions>(command));
    });
  return { add, update };
}

const SWITCHES = [
  ["remove", "removeListener", "remove a listener; its frontends wait for one at the same address"],
  ["activate", "activateListener", "start to accept"],
  ["deactivate", "deactivateListener", "stop accepting; connections go on"],
] as const;

/** What can be given to a new HTTP listener and changed later. */
function changeable(command: Command): void {
  command
    .option("--sticky-name <name>", "name of the cookie of sticky sessions")
    .option("--back-timeout <seconds>", "silence of a backend", seconds)
    .option("--request-timeout <seconds>", "for the whole head of a request", seconds)
    .option("--connect-timeout <seconds>", "for connecting to a backend", seconds)
    .option("--answer <status=answer>", "a response written out, or file://path; may be repeated", repeated)
    .option("--trusted-proxies <cidr,...>", "networks whose X-Forwarded-* is trusted")
    .option("--underscore-names <how>", "header names with _: pass, drop or refuse")
    .option("--dot-segments <how>", "paths with . and .. segments: refuse or pass")
    .option("--encoded-slashes <how>", "paths with %2f or %5c: pass or refuse");
}

const ANSWER_FLAGS = ["301", "401", "404", "408", "413", "421", "429", "502", "503", "504", "507"] as const;

/** Fields of UpdateHttpListenerConfig, without the `h2`. */
const HTTP2_FLAGS: readonly string[] = [
  "max-rst-stream-per-window",
  "max-ping-per-window",
  "max-settings-per-window",
  "max-empty-data-per-window",
  "max-window-update-stream0-per-window",
  "max-continuation-frames",
  "max-glitch-count",
  "initial-connection-window",
  "max-concurrent-streams",
  "stream-shrink-ratio",
  "max-rst-stream-lifetime",
  "max-rst-stream-abusive-lifetime",
  "max-rst-stream-emitted-lifetime",
  "max-header-list-size",
  "max-header-table-size",
  "max-header-fields",
  "stream-idle-timeout-seconds",
  "graceful-shutdown-deadline-seconds",
];

function addressed(parent: Command, verb: string, text: string): Command {
  return parent
    .command(verb)
    .description(text)
    .requiredOption("-a, --address <ip:port>", "address of the listener, [v6]:port for IPv6");
}

const HELP = `
Example: a second port for what is served already
  sozu listener http add --address 0.0.0.0:8081
  sozu frontend http add --address 0.0.0.0:8081 --hostname localhost id demo
  sozu listener http activate --address 0.0.0.0:8081`;
