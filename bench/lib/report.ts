// Turns measurements into a table for the terminal, Markdown and JSON. Costs are medians over the rounds; a ratio below 1
// means that Sozu needs less.

import { cpus, release, totalmem } from "node:os";
import type { Case } from "./cases.ts";
import { CERTIFICATES_FEW, CERTIFICATES_MANY, type CertificatesCost } from "./certificates.ts";
import type { Cost } from "./counters.ts";
import { FEATURE_BAR, type FeatureCost } from "./features.ts";
import { HOSTS_FEW, HOSTS_MANY, type HostsCost } from "./hosts.ts";
import type { LoadResult } from "./load.ts";
import type { GrowthPoint, IdleMemory } from "./memory.ts";
import { TARGET_NAMES, type TargetName, UNEQUAL } from "./targets.ts";

/** One run of one case against one proxy. */
export interface Sample {
  readonly caseId: string;
  readonly target: TargetName;
  readonly load: LoadResult;
  readonly cost: Cost;
}

/** Everything one run of the benchmark found. */
export interface Results {
  readonly date: string;
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly seconds: number;
  readonly cases: readonly Case[];
  readonly samples: readonly Sample[];
  readonly userInstructions: Readonly<Record<string, number>> | null;
  readonly tlsInstructions: Readonly<Record<string, number>> | null;
  readonly features: readonly FeatureCost[] | null;
  readonly idleMemory: Readonly<Partial<Record<TargetName, IdleMemory>>> | null;
  readonly idleTlsMemory: Readonly<Partial<Record<TargetName, IdleMemory>>> | null;
  readonly growth: readonly GrowthPoint[] | null;
  readonly hosts: HostsCost | null;
  readonly certificates: CertificatesCost | null;
}

interface Row {
  readonly target: TargetName;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly userUs: number;
  readonly systemUs: number;
  readonly totalUs: number;
  readonly instructionsUser: number | null;
  readonly instructionsKernel: number | null;
  readonly cyclesUser: number | null;
  readonly cyclesKernel: number | null;
  readonly errors: number;
}

/** The whole report as Markdown; it also reads well on a terminal. */
export function render(results: Results): string {
  const counted = results.samples.some((sample) => sample.cost.instructionsUser !== null);
  const cases = results.cases.length === 0 ? [] : [...rounds(results, counted), "", ...caseTable(results, counted)];
  const tables = [...cases, "", ...instructionTables(results), ...memoryTables(results)];
  const unequal = ["Not equal between the three:", "", ...UNEQUAL.map((line) => `- ${line}`)];
  const compares = results.cases.length > 0 || results.userInstructions !== null || results.idleMemory !== null;
  const parts = [...circumstances(results), ...tables, ...(compares ? unequal : [])];
  return `${parts.join("\n")}\n`;
}

/** The table of what features cost, as Markdown. */
export function renderFeatures(results: Results): string {
  const lines = [["feature", "with", "without", "adds", "without is"]];
  for (const { title, against, instructions, without } of results.features ?? []) {
    if (without === null) {
      lines.push([title, round(instructions), "", "", ""]);
      continue;
    }
    const adds = instructions - without;
    const mark = adds > FEATURE_BAR ? " (above the bar)" : "";
    lines.push([title, round(instructions), round(without), `${round(adds)}${mark}`, against ?? ""]);
  }
  const parts = [...circumstances(results), `- ${results.date}, \`${results.command}\``, "", ...table(lines)];
  return `${parts.join("\n")}\n`;
}

/** What the table of cases was made with. */
function rounds(results: Results, counted: boolean): string[] {
  return [
    `- ${results.date}, \`${results.command}\`, ${results.rounds} alternating rounds of ${results.seconds} s, medians.`,
    counted
      ? "- Instructions and cycles are hardware counters of the worker (perf)."
      : "- This machine has no hardware counters: the cost of a request is the CPU time of the worker, user and kernel.",
  ];
}

function circumstances(results: Results): string[] {
  return [
    `- Machine: ${cpus()[0]?.model.trim()} (${cpus().length} cores), ${(totalmem() / 2 ** 30).toFixed(0)} GB, Linux ${release()}`,
    `- ${Object.entries(results.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}`,
  ];
}

function caseTable(results: Results, counted: boolean): string[] {
  const head = [
    "case",
    "proxy",
    "requests/s",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "user µs/req",
    "kernel µs/req",
    "total µs/req",
  ];
  if (counted) head.push("instr user", "instr kernel", "cycles user", "cycles kernel");
  head.push("Sozu needs");
  const lines: string[][] = [head];
  for (const run of results.cases) {
    const rows = TARGET_NAMES.flatMap((target) => summarize(results.samples, run.id, target));
    const own = rows.find((row) => row.target === "sozu");
    for (const row of rows) {
      const cells = [
        run.title,
        row.target,
        round(row.requestsPerSecond),
        round(row.p50),
        round(row.p99),
        round(row.p999),
      ];
      cells.push(row.userUs.toFixed(1), row.systemUs.toFixed(1), row.totalUs.toFixed(1));
      if (counted) {
        cells.push(
          round(row.instructionsUser),
          round(row.instructionsKernel),
          round(row.cyclesUser),
          round(row.cyclesKernel),
        );
      }
      cells.push(ratio(own, row, counted));
      if (row.errors > 0) cells[1] = `${row.target} (${row.errors} errors)`;
      lines.push(cells);
    }
  }
  return table(lines);
}

function ratio(own: Row | undefined, row: Row, counted: boolean): string {
  if (own === undefined || row.target === "sozu") return "";
  const total = (of: Row): number => (of.instructionsUser ?? 0) + (of.instructionsKernel ?? 0);
  const value = counted ? total(own) / total(row) : own.totalUs / row.totalUs;
  if (!Number.isFinite(value)) return "served nothing";
  return `${value.toFixed(2)} of ${row.target}`;
}

function summarize(samples: readonly Sample[], caseId: string, target: TargetName): Row[] {
  const own = samples.filter((sample) => sample.caseId === caseId && sample.target === target);
  if (own.length === 0) return [];
  const middle = (value: (sample: Sample) => number): number => median(own.map(value));
  const perRequest = (field: keyof Cost): number | null =>
    own.some((sample) => sample.cost[field] === null)
      ? null
      : middle((sample) => (sample.cost[field] as number) / sample.load.requests);
  const userUs = (perRequest("cpuUserNs") ?? 0) / 1000;
  const systemUs = (perRequest("cpuSystemNs") ?? 0) / 1000;
  return [
    {
      target,
      requestsPerSecond: middle(({ load }) => load.requests / load.seconds),
      p50: middle(({ load }) => load.p50),
      p99: middle(({ load }) => load.p99),
      p999: middle(({ load }) => load.p999),
      userUs,
      systemUs,
      totalUs: middle(({ cost, load }) => (cost.cpuUserNs + cost.cpuSystemNs) / load.requests / 1000),
      instructionsUser: perRequest("instructionsUser"),
      instructionsKernel: perRequest("instructionsKernel"),
      cyclesUser: perRequest("cyclesUser"),
      cyclesKernel: perRequest("cyclesKernel"),
      errors: own.reduce((sum, sample) => sum + sample.load.errors, 0),
    },
  ];
}

function instructionTables(results: Results): string[] {
  return [
    ...instructionTable("95 B, 64 connections, access log on", results.userInstructions),
    ...instructionTable("95 B over TLS 1.3, 64 connections, access log on", results.tlsInstructions),
  ];
}

function instructionTable(title: string, found: Readonly<Record<string, number>> | null): string[] {
  if (found === null) return [];
  const own = found["sozu"];
  const lines = [["proxy", "user instructions/request (callgrind)", "Sozu needs"]];
  for (const [name, value] of Object.entries(found)) {
    const needs = own === undefined || name === "sozu" ? "" : `${(own / value).toFixed(2)} of ${name}`;
    lines.push([name, round(value), needs]);
  }
  return [`User-space instructions, ${title}:`, "", ...table(lines), ""];
}

function memoryTables(results: Results): string[] {
  const lines: string[] = [];
  lines.push(...idleTable("keep-alive connection", results.idleMemory));
  lines.push(...idleTable("TLS 1.3 connection (X25519)", results.idleTlsMemory));
  if (results.hosts !== null) {
    const { few, many, unit } = results.hosts;
    const ratio = `${(many / few).toFixed(2)} of what it costs with ${HOSTS_FEW}`;
    const figures = `${many.toFixed(1)} and ${few.toFixed(1)} ${unit}`;
    lines.push(
      `A request for a random one of ${HOSTS_MANY.toLocaleString("en")} hosts costs ${ratio} (${figures}).`,
      "",
    );
  }
  if (results.certificates !== null) lines.push(...certificateTable(results.certificates));
  if (results.growth !== null) {
    const rows = [["after", "RSS", "descriptors"]];
    for (const point of results.growth) rows.push([point.after, mega(point.rss), String(point.descriptors)]);
    lines.push("Growth of Sozu's worker, after a forced collection:", "", ...table(rows), "");
  }
  return lines;
}

function certificateTable(found: CertificatesCost): string[] {
  const rows = [
    ["certificates", "start", "a full handshake with a request"],
    [round(CERTIFICATES_FEW), `${round(found.startFewMs)} ms`, `${found.fewUs.toFixed(1)} µs`],
    [
      `${round(CERTIFICATES_MANY)}, ${CERTIFICATES_FEW} of them in use`,
      `${round(found.startManyMs)} ms`,
      `${found.manyUs.toFixed(1)} µs`,
    ],
    [`${round(CERTIFICATES_MANY)}, all in use`, "", `${found.allUs.toFixed(1)} µs`],
  ];
  const memory = `A certificate that is not in use takes ${round(found.bytesPerCertificate)} bytes of the worker.`;
  return ["Certificates of P-256 with one authority above them:", "", ...table(rows), "", memory, ""];
}

function idleTable(of: string, found: Results["idleMemory"]): string[] {
  if (found === null) return [];
  const rows = [["proxy", "bytes per idle connection", "RSS at 2,000", "RSS at 8,000"]];
  for (const [name, memory] of Object.entries(found)) {
    rows.push([name, round(memory.bytesPerConnection), mega(memory.rssLow), mega(memory.rssHigh)]);
  }
  return [`Memory of the worker per idle ${of}, by slope:`, "", ...table(rows), ""];
}

/** Markdown with padded columns. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (row[i] ?? "").padEnd(width)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  const [head, ...rest] = rows;
  return [line(head ?? []), rule, ...rest.map(line)];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[half] as number)
    : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
}

function round(value: number | null): string {
  return value === null ? "-" : Math.round(value).toLocaleString("en");
}

function mega(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
