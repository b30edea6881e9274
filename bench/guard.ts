/**
 * Guards what an event costs, by what is stored in bench/guard.json. Counts: instructions in the native library under
 * valgrind, which other work on the machine changes little; exits with 1 when an event costs over 5 % more. Ratios to the
 * limits of the same run, out of bench/smoke.ts; exits with 1 when one is worse by over a quarter, for which the machine
 * has to be quiet. `npm test` compares the counts only.
 *
 *   npm run bench:guard -- [--only counts,ratios] [--store] [--runs N] [--json FILE]
 *
 * --store: what was measured becomes the stored value. Another compiler makes other instructions: then the comparison of
 * counts is shown, and never a failure.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Table from "cli-table3";

import { type Counted, type Row, type Stored, compare, instructionsPerEvent, verdictOf } from "./guard/compare.js";
import { type SmokeResult, type StoredRatios, compareRatios, ratioName, worseText } from "./guard/ratios.js";
import { benchCommand, positiveInteger, someOf, writableFile } from "./suite/command.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const storedFile = path.join(root, "bench", "guard.json");
const program = path.join(root, "build", "native", "bench", "instructions");

/** The difference of the two is what the events between them cost; starting and ending are in both. */
const eventCounts = [20_000, 120_000] as const;
const modes = ["produce", "consume"] as const;
const roundsMore = 3;

const partNames = ["counts", "ratios"];
const options = benchCommand("npm run bench:guard --", "What an event costs, beside bench/guard.json")
  .option("--only <parts>", `of ${partNames.join(",")}`, someOf(partNames), partNames)
  .option("--store", "what was measured becomes the stored value", false)
  .option("--runs <number>", "of each count", positiveInteger, 2)
  .option("--json <file>", "the comparison as JSON", writableFile)
  .parse()
  .opts<{ only: string[]; store: boolean; runs: number; json?: string }>();

/** Of the whole process. */
async function count(mode: string, events: number): Promise<number> {
  const tool = ["--fair-sched=yes", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
  const { stderr } = await run("valgrind", [...tool, program, mode, String(events)], { timeout: 120_000 });
  const counted = /I\s+refs:\s+([\d,]+)/.exec(stderr)?.[1];
  if (counted === undefined) throw new Error(`valgrind said nothing of instructions:\n${stderr}`);
  return Number(counted.replaceAll(",", ""));
}

/** Threads that wait for each other, turn by turn (--fair-sched), only add instructions: the least of several runs is nearest to what is needed. */
const least = new Map<string, number>();
async function countAgain(mode: string, events: number): Promise<number> {
  const key = `${mode} ${events}`;
  const counts = [least.get(key) ?? Infinity];
  for (let left = options.runs; left > 0; left--) counts.push(await count(mode, events));
  least.set(key, Math.min(...counts));
  return Math.min(...counts);
}

const compiler = (await run("c++", ["-dumpfullversion"])).stdout.trim().split(".")[0] ?? "";
const stored = JSON.parse(readFileSync(storedFile, "utf8")) as Stored & { readonly ratios: StoredRatios };
const parts = new Set(options.only);
async function countAll(): Promise<Counted> {
  const perEvent: Record<string, number> = {};
  for (const mode of modes) {
    const [few, many] = [await countAgain(mode, eventCounts[0]), await countAgain(mode, eventCounts[1])];
    perEvent[mode] = instructionsPerEvent(few, many, eventCounts[1] - eventCounts[0]);
  }
  return { compiler, architecture: process.arch, perEvent };
}

/** On a loaded machine all runs of a round may have waited: a verdict of "more" is looked at again. */
async function guardCounts(): Promise<{ counted: Counted; rows: Row[] }> {
  let counted = await countAll();
  let rows = compare(counted, stored);
  for (let again = 0; again < roundsMore && verdictOf(rows).failed; again++) {
    counted = await countAll();
    rows = compare(counted, stored);
  }
  return { counted, rows };
}

/** Of what has a floor: the others scatter most. */
async function measureRatios(): Promise<SmokeResult[]> {
  const folder = mkdtempSync(path.join(root, "build", "guard-"));
  try {
    const file = path.join(folder, "smoke.json");
    const smoke = path.join(root, "build", "ts", "bench", "smoke.js");
    try {
      await run(process.execPath, [smoke, "--only", "metadata,data,event", "--json", file]);
    } catch (error) {
      // It exits with 1 below its own floors, which are no matter here; but then it has measured.
      if (!existsSync(file)) throw error;
    }
    const { results } = JSON.parse(readFileSync(file, "utf8")) as { results: SmokeResult[] };
    return results.filter(({ floor }) => floor !== undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const text: string[] = [];
let failed = false;
let kept: object = stored;
const shown: Record<string, unknown> = {};
function show(head: string[], lines: string[][]): void {
  const table = new Table({
    head,
    colAligns: ["left", "right", "right", "left"],
    style: { head: [], border: [] },
  });
  table.push(...lines);
  console.log(table.toString());
}

if (parts.has("counts")) {
  const { counted, rows } = await guardCounts();
  const lines = rows.map(({ name, now, before, ratio, verdict }) => [
    ...[name, now.toFixed(0), before.toFixed(0), `${ratio.toFixed(3)} ${verdict}`],
  ]);
  show(["256 B of metadata, C, in memory", "instructions an event", "stored", ""], lines);
  const verdict = verdictOf(rows);
  failed ||= verdict.failed;
  text.push(verdict.text);
  kept = { ...kept, ...counted };
  shown["counts"] = { counted, rows };
}
if (parts.has("ratios")) {
  const results = await measureRatios();
  const rows = compareRatios(results, stored.ratios);
  const lines = rows.map(({ name, now, before, verdict }) => [
    ...[name, now.toFixed(2), before?.toFixed(2) ?? "", verdict],
  ]);
  show(["ratio to its limit", "now", "stored", ""], lines);
  const worse = worseText(rows);
  failed ||= worse !== "" || rows.length === 0;
  text.push(rows.length === 0 ? "no ratio was measured" : worse);
  const values = Object.fromEntries(results.map((one) => [ratioName(one), Math.round(one.ratio * 100) / 100]));
  kept = { ...kept, ratios: { ...stored.ratios, values } };
  shown["ratios"] = rows;
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(shown, null, 2)}\n`);
if (options.store) {
  writeFileSync(storedFile, `${JSON.stringify(kept, null, 2)}\n`);
} else {
  for (const line of text) if (line !== "") console.error(line);
  process.exitCode = failed ? 1 : 0;
}
