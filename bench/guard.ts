/**
 * Guards what an event costs: counts instructions in the native library under valgrind, which other work on the machine
 * changes little, and compares them with bench/guard.json. Exits with 1 when an event costs over 5 % more than is stored there.
 *
 *   npm run bench:guard -- [--store] [--runs N] [--json FILE]
 *
 * --store: what was counted becomes the stored value. Another compiler makes other instructions: then the comparison is
 * shown, and never a failure.
 */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import Table from "cli-table3";

import { type Counted, type Stored, compare, instructionsPerEvent, verdictOf } from "./guard/compare.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../..", import.meta.url));
const storedFile = path.join(root, "bench", "guard.json");
const program = path.join(root, "build", "native", "bench", "instructions");

/** The difference of the two is what the events between them cost; starting and ending are in both. */
const eventCounts = [20_000, 120_000] as const;
const modes = ["produce", "consume"] as const;
const roundsMore = 3;

const { values: options } = parseArgs({
  options: {
    store: { type: "boolean", default: false },
    runs: { type: "string", default: "2" },
    json: { type: "string" },
  },
});

/** Of the whole process. */
async function count(mode: string, events: number): Promise<number> {
  const tool = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
  const { stderr } = await run("valgrind", [...tool, program, mode, String(events)], { timeout: 120_000 });
  const counted = /I\s+refs:\s+([\d,]+)/.exec(stderr)?.[1];
  if (counted === undefined) throw new Error(`valgrind said nothing of instructions:\n${stderr}`);
  return Number(counted.replaceAll(",", ""));
}

/** Threads that wait for each other only add instructions: the least of several runs is nearest to what is needed. */
const least = new Map<string, number>();
async function countAgain(mode: string, events: number): Promise<number> {
  const key = `${mode} ${events}`;
  const counts = [least.get(key) ?? Infinity];
  for (let left = Number(options.runs); left > 0; left--) counts.push(await count(mode, events));
  least.set(key, Math.min(...counts));
  return Math.min(...counts);
}

const compiler = (await run("c++", ["-dumpfullversion"])).stdout.trim().split(".")[0] ?? "";
const stored = JSON.parse(readFileSync(storedFile, "utf8")) as Stored;
async function countAll(): Promise<Counted> {
  const perEvent: Record<string, number> = {};
  for (const mode of modes) {
    const [few, many] = [await countAgain(mode, eventCounts[0]), await countAgain(mode, eventCounts[1])];
    perEvent[mode] = instructionsPerEvent(few, many, eventCounts[1] - eventCounts[0]);
  }
  return { compiler, architecture: process.arch, perEvent };
}

// On a loaded machine all runs of a round may have waited: a verdict of "more" is looked at again.
let counted = await countAll();
let rows = compare(counted, stored);
for (let again = 0; again < roundsMore && verdictOf(rows).failed; again++) {
  counted = await countAll();
  rows = compare(counted, stored);
}

const table = new Table({
  head: ["256 B of metadata, C, in memory", "instructions an event", "stored", "ratio", ""],
  colAligns: ["left", "right", "right", "right", "left"],
  style: { head: [], border: [] },
});
for (const { name, now, before, ratio, verdict } of rows)
  table.push([name, now.toFixed(0), before.toFixed(0), ratio.toFixed(3), verdict]);
console.log(table.toString());
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify({ counted, rows }, null, 2)}\n`);
if (options.store) {
  const { tolerance } = stored;
  writeFileSync(storedFile, `${JSON.stringify({ tolerance, ...counted }, null, 2)}\n`);
} else {
  const { failed, text } = verdictOf(rows);
  if (text !== "") console.error(text);
  process.exitCode = failed ? 1 : 0;
}
