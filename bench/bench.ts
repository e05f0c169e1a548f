/**
 * Measures what we hold ourselves to, as ratios within one run, and ends with 1 when a goal is missed:
 * `npm run bench [-- --rounds N]`. Downtime is measured N times a side (5), start-up five times as often.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bootRoot, NODE_ON_HOST, PROJECT_ON_HOST, whyNoSystemd } from "../test/support/systemd-root.ts";
import type { Downtimes } from "./downtime.ts";
import { PROJECT, succeed } from "./program.ts";
import { START_MS, STOP_MS, type Way } from "./stage.ts";
import { measureStartUps } from "./start-up.ts";

interface Row {
  readonly what: string;
  readonly ours: number;
  readonly bare?: number;
  /** The most that the ratio may be, or the value where there is none. */
  readonly goal?: number;
  readonly digits: number;
}

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds takes a number from 1");

const startUps = await measureStartUps(rounds * 5);
const own = await downtimesHere(rounds);
const reason = whyNoSystemd();
const systemd = reason === null ? await downtimesUnderSystemd(rounds) : null;
const peakMb = Math.max(...own.peakMb, ...(systemd?.peakMb ?? []));
const bare = median(startUps.bare);

const rows: Row[] = [
  ...(systemd === null ? [] : [downtimeRow("systemd", systemd)]),
  downtimeRow("own commands", own),
  { what: "--version, ms", ours: median(startUps.version), bare, goal: 1.3, digits: 1 },
  { what: "--help, ms", ours: median(startUps.help), bare, goal: 2, digits: 1 },
  { what: "status, ms", ours: median(startUps.status), bare, digits: 1 },
  { what: "peak memory of reset, MB", ours: peakMb, goal: 120, digits: 0 },
];

console.log(table(rows));
console.log(`
Medians of ${rounds} rounds a side (start-up: ${rounds * 5}), the sides in turn; memory is the highest value seen.
Downtime: from the first question to /identity without an answer to the next one answered 200, asked every 5 ms
by another process. The stand-in server takes ${STOP_MS / 1000} s to stop (and answers meanwhile) and ${START_MS / 1000} s to start.
Bare: the same stop, the wait for its process to be gone, the same start. For start-up: node -e 0.`);
if (reason !== null) console.log(`Not measured under systemd: ${reason}.`);
process.exitCode = rows.every(isMet) ? 0 : 1;

async function downtimesHere(count: number): Promise<Downtimes> {
  const script = join(PROJECT, "bench", "downtime.ts");
  const { output } = await succeed(process.execPath, [script, "own commands" satisfies Way, String(count)]);
  return JSON.parse(output) as Downtimes;
}

async function downtimesUnderSystemd(count: number): Promise<Downtimes> {
  const host = await bootRoot();
  try {
    const line = `${NODE_ON_HOST} ${PROJECT_ON_HOST}/bench/downtime.ts ${"systemd" satisfies Way} ${count}`;
    return JSON.parse(await host.succeed(line, { timeoutMs: 60_000 + count * 60_000 })) as Downtimes;
  } finally {
    await host.stop();
  }
}

function downtimeRow(way: Way, times: Downtimes): Row {
  const what = `downtime of reset (${way}), ms`;
  return { what, ours: median(times.ours), bare: median(times.bare), goal: 1.05, digits: 0 };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

function judged(row: Row): number {
  return row.bare === undefined ? row.ours : row.ours / row.bare;
}

function isMet(row: Row): boolean {
  return row.goal === undefined || judged(row) <= row.goal;
}

function table(all: readonly Row[]): string {
  const cells = all.map((row) => [
    row.what,
    row.ours.toFixed(row.digits),
    row.bare?.toFixed(row.digits) ?? "",
    row.bare === undefined ? "" : `+${(row.ours - row.bare).toFixed(row.digits)}`,
    row.bare === undefined ? "" : judged(row).toFixed(3),
    row.goal === undefined ? "" : `≤ ${row.goal}`,
    row.goal === undefined ? "" : isMet(row) ? "met" : "MISSED",
  ]);
  const lines = [["", "ours", "bare", "more", "ratio", "goal", ""], ...cells];
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line.map((cell, column) => cell[column === 0 ? "padEnd" : "padStart"](widths[column] ?? 0)).join("  "),
    )
    .join("\n");
}
