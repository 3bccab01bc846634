// The log outputs of a worker: one sink for log lines, and for access lines either the same one, their own, or none.

import type { WorkerSettings } from "../command/objects.ts";
import { AccessLog } from "../observe/access-log.ts";
import { ProtobufAccessLog } from "../observe/access-protobuf.ts";
import type { AccessLogOptions, AccessWriter } from "../observe/access-writer.ts";
import { Logger } from "../observe/logger.ts";
import { METRIC_ACCESS_LOGS_DROPPED, METRIC_LOGS_DROPPED, METRIC_UNSENT_ACCESS_LOGS } from "../observe/metrics.ts";
import { BatchSink } from "../observe/sink.ts";
import type { SocketSource } from "../observe/socket-target.ts";
import type { Stats } from "../observe/stats.ts";
import { openTarget } from "../observe/target.ts";
import { clock } from "../os/clock.ts";
import { close } from "../os/sockets.ts";

/** What a worker writes to. */
export interface WorkerLogs {
  readonly logger: Logger;
  /** null: access lines are off. */
  readonly accessLog: AccessWriter | null;
  /** Every sink once; the access log's own, if any, comes last. */
  readonly sinks: readonly BatchSink[];
  /** Goes on with files that main opened anew, by target; the descriptors belong to the logs from now on. */
  adopt(files: ReadonlyMap<string, number>): void;
  /** Copies what was lost to the stats page; cheap enough for every tick. */
  count(stats: Stats): void;
}

/**
 * Logs to the targets of the settings: to `files` where main opened one, to sockets that main connects when it is asked.
 * Throws when one cannot be opened.
 */
export function openLogs(
  settings: WorkerSettings,
  memoryBytes: Uint8Array,
  files: ReadonlyMap<string, number>,
  sockets: SocketSource,
): WorkerLogs {
  const { pid } = process;
  const tag = `WRK-${String(settings.workerId).padStart(2, "0")}`;
  const sink = new BatchSink(openTarget(settings.logTarget, sockets, files.get(settings.logTarget)));
  const directives = process.env["RUST_LOG"] ?? settings.logLevel;
  const colored = settings.logColored;
  const logger = new Logger({ tag, pid, sink, directives, colored, nowUs: () => clock[1] });
  const target = settings.accessLogsTarget;
  const own = target === null || target === "off" || target === settings.logTarget ? null : target;
  const recordSockets = { ...sockets, lines: settings.accessLogsFormat === "ascii" };
  const accessSink = own === null ? sink : new BatchSink(openTarget(own, recordSockets, files.get(own)));
  const sinks = own === null ? [sink] : [sink, accessSink];
  for (const each of sinks) {
    each.onTrouble = (message) => process.stderr.write(`sozu worker ${settings.workerId}: ${message}\n`);
    each.onRecovered = (lines) => logger.warn("log", `${lines} lines dropped: the target could not keep up`);
  }
  const options = { sink: accessSink, memoryBytes, tag, pid, showsTls: settings.accessLogsTls };
  const accessLog = target === "off" ? null : writerOf(settings.accessLogsFormat, options);
  const count = (stats: Stats): void => {
    stats.values[METRIC_LOGS_DROPPED] = sink.dropped + sink.unsent;
    stats.values[METRIC_ACCESS_LOGS_DROPPED] = accessSink.dropped;
    stats.values[METRIC_UNSENT_ACCESS_LOGS] = accessSink.unsent;
  };
  const adopt = (anew: ReadonlyMap<string, number>): void => {
    for (const [text, fd] of anew) {
      if (text === own) accessSink.adopt(fd);
      else if (text === settings.logTarget) sink.adopt(fd);
      else close(fd);
    }
  };
  return { logger, accessLog, sinks, adopt, count };
}

function writerOf(format: WorkerSettings["accessLogsFormat"], options: AccessLogOptions): AccessWriter {
  return format === "protobuf" ? new ProtobufAccessLog(options) : new AccessLog(options);
}
