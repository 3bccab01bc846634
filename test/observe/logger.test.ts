// Log lines: the prefix to the byte, filtering per module, and messages that try to break out of their line.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFilter } from "../../src/observe/filter.ts";
import { LEVEL_DEBUG, LEVEL_ERROR, LEVEL_INFO, LEVEL_OFF, LEVEL_TRACE, LEVEL_WARN } from "../../src/observe/levels.ts";
import { Logger } from "../../src/observe/logger.ts";
import { BatchSink } from "../../src/observe/sink.ts";
import { MemoryTarget } from "./memory-target.ts";

const AT_US = Date.UTC(2026, 10, 20, 17, 56, 51) * 1000 + 42;

function setUp(directives: string, colored = false): { logger: Logger; take: () => string; sink: BatchSink } {
  const target = new MemoryTarget();
  const sink = new BatchSink(target);
  const logger = new Logger({ tag: "WRK-03", pid: 77, sink, directives, colored, nowUs: () => AT_US });
  return {
    logger,
    sink,
    take: () => {
      sink.tick();
      return target.takeText();
    },
  };
}

const PREFIX = "2026-11-20T17:56:51.000042Z 1795197411000042000 77";

test("a line has time, nanoseconds, pid, padded level, tag, tab and message", () => {
  const { logger, take } = setUp("trace");
  logger.error("proxy", "a");
  logger.warn("proxy", "b");
  logger.info("proxy", "[- - - -]\tHTTP\t>>> c");
  logger.debug("proxy", "d");
  logger.trace("proxy", "e");
  assert.equal(
    take(),
    `${PREFIX} ERROR WRK-03\ta\n${PREFIX} WARN  WRK-03\tb\n${PREFIX} INFO  WRK-03\t[- - - -]\tHTTP\t>>> c\n` +
      `${PREFIX} DEBUG WRK-03\td\n${PREFIX} TRACE WRK-03\te\n`,
  );
});

test("colours are around the level only", () => {
  const { logger, take } = setUp("info", true);
  logger.info("proxy", "a");
  assert.equal(take(), `${PREFIX} \x1b[32mINFO \x1b[0m WRK-03\ta\n`);
});

test("a message cannot begin a second line, whatever it quotes", () => {
  const { logger, take } = setUp("info");
  logger.info("proxy", "a\nb\r\x1b[31m\0\u2028\u202e\x7f\x9b é 🦊");
  assert.equal(take(), `${PREFIX} INFO  WRK-03\ta\\nb??[31m????? é 🦊\n`);
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (message) => {
      logger.info("proxy", message);
      const line = take();
      assert.equal(line.indexOf("\n"), line.length - 1);
    }),
  );
});

test("a very long message is cut", () => {
  const { logger, take } = setUp("info");
  logger.info("proxy", "é".repeat(100_000));
  const line = take();
  assert.ok(line.length < 8400);
  assert.ok(line.endsWith("é...\n"));
});

test("the longest module prefix wins, whatever the order", () => {
  const cases: [string, string, number][] = [
    ["info", "proxy", LEVEL_INFO],
    ["", "proxy", LEVEL_INFO],
    ["proxy=debug", "proxy.http", LEVEL_DEBUG],
    ["proxy=debug", "worker", LEVEL_OFF],
    ["warn,proxy=debug,proxy.http=error", "proxy.http", LEVEL_ERROR],
    ["proxy.http=error,proxy=debug,warn", "proxy.http", LEVEL_ERROR],
    ["proxy.http=error,proxy=debug,warn", "proxy.tcp", LEVEL_DEBUG],
    ["proxy.http=error,proxy=debug,warn", "main", LEVEL_WARN],
    ["info,info,ERROR", "main", LEVEL_ERROR],
    [" Trace , main = off ", "main", LEVEL_OFF],
    ["debug/some.*regex", "main", LEVEL_DEBUG],
    ["info,__proto__=trace", "__proto__", LEVEL_TRACE],
    ["info", "constructor", LEVEL_INFO],
  ];
  for (const [directives, module, level] of cases) {
    const { filter } = parseFilter(directives);
    assert.equal(filter?.levelOf(module), level, `${directives} for ${module}`);
    assert.equal(filter?.levelOf(module), level, "remembered");
  }
});

test("wrong directives are all named and nothing is half applied", () => {
  assert.deepEqual(parseFilter("a=b=c,info").errors, ['too many equals in log directive "a=b=c": write module=level']);
  assert.deepEqual(parseFilter("info/a/b").errors, [
    'too many slashes in log filter "info/a/b": write at most one /regex',
  ]);
  assert.equal(parseFilter("inof,proxy=,x=loud").errors?.length, 3);
  assert.match(
    parseFilter("inof").errors?.[0] ?? "",
    /invalid level "inof".*use off, error, warn, info, debug or trace/,
  );
});

test("the filter can be replaced at run time, and a wrong one changes nothing", () => {
  const { logger, take } = setUp("info");
  assert.equal(logger.enabled("proxy", LEVEL_DEBUG), false);
  assert.equal(logger.setDirectives("proxy=debug"), null);
  assert.equal(logger.enabled("proxy", LEVEL_DEBUG), true);
  assert.equal(logger.enabled("main", LEVEL_ERROR), false);
  assert.match(logger.setDirectives("proxy=nonsense") ?? "", /invalid level/);
  assert.equal(logger.enabled("proxy", LEVEL_DEBUG), true);
  logger.info("main", "hidden");
  logger.debug("proxy", "seen");
  assert.match(take(), /DEBUG WRK-03\tseen\n$/);
});

test("wrong directives at start are reported as a line and info is used", () => {
  const { logger, take } = setUp("verbose");
  assert.match(take(), /ERROR WRK-03\tinvalid level "verbose".*using "info"\n$/);
  assert.equal(logger.enabled("proxy", LEVEL_INFO), true);
  assert.equal(logger.enabled("proxy", LEVEL_DEBUG), false);
});

test("modules are remembered up to a bound, so names made of requests could not fill memory", () => {
  const { filter } = parseFilter("info,m1=debug");
  for (let i = 0; i < 5000; i++) assert.ok((filter?.levelOf(`m${i}`) ?? 0) >= LEVEL_INFO);
  assert.equal(filter?.levelOf("m1999"), LEVEL_DEBUG);
});

test("a logger over a full sink drops lines and goes on", () => {
  const target = new MemoryTarget();
  target.instant = false;
  const sink = new BatchSink(target, 4096);
  const logger = new Logger({ tag: "MAIN", pid: 1, sink, directives: "info", colored: false });
  for (let i = 0; i < 1000; i++) logger.info("main", "x".repeat(100));
  assert.ok(sink.dropped > 900);
  target.complete();
  sink.tick();
  target.complete();
  logger.info("main", "alive");
  sink.tick();
  target.complete();
  assert.match(target.takeText(), /alive\n$/);
});
