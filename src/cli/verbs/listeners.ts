// The verbs for listeners: on which addresses the proxy accepts.

import type { Command } from "commander";
import type { ListenerOptions } from "../listener.ts";
import { given, globals, laterFlags, laterVerbs, seconds } from "../options.ts";

export function addListenerVerbs(program: Command): void {
  const listener = program.command("listener").description("decide on which addresses the proxy accepts");
  const http = listener.command("http").description("HTTP listeners");
  const add = addressed(http, "add", "add a listener; it accepts once it is activated")
    .option("--public-address <ip:port>", "what forwarding headers and logs call it")
    .option("--sticky-name <name>", "name of the cookie of sticky sessions")
    .option("--front-timeout <seconds>", "silence of a client; default: that of the configuration file", seconds)
    .option("--back-timeout <seconds>", "silence of a backend", seconds)
    .option("--request-timeout <seconds>", "for the whole head of a request", seconds)
    .option("--connect-timeout <seconds>", "for connecting to a backend", seconds);
  laterFlags(add, ["--answer-404 <path>", "--answer-503 <path>", "--expect-proxy"])
    .addHelpText("after", HELP)
    .action(async (_own: object, command: Command) => {
      const { addHttpListener } = await import("../listener.ts");
      await addHttpListener(given<ListenerOptions>(command));
    });
  addressed(http, "remove", "remove a listener; its frontends wait for one at the same address").action(
    async (_own: object, command: Command) => {
      const { removeHttpListener } = await import("../listener.ts");
      await removeHttpListener(given<ListenerOptions>(command));
    },
  );
  addressed(http, "activate", "start to accept").action(async (_own: object, command: Command) => {
    const { activateHttpListener } = await import("../listener.ts");
    await activateHttpListener(given<ListenerOptions>(command));
  });
  addressed(http, "deactivate", "stop accepting; connections go on").action(async (_own: object, command: Command) => {
    const { deactivateHttpListener } = await import("../listener.ts");
    await deactivateHttpListener(given<ListenerOptions>(command));
  });
  laterVerbs(http, ["update"]);
  listener
    .command("list")
    .description("show all listeners")
    .action(async (_own: object, command: Command) => {
      const { control } = await import("../control.ts");
      await control(globals(command), { case: "listListeners", value: {} });
    });
  laterVerbs(listener, ["https", "tcp", "udp"]);
}

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
