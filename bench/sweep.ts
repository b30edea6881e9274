/**
 * What a sweep over numbers of nodes needs beside its launches (launch/benchmark-sweep.sh):
 *
 *   node sweep.js plan NODES DIRECTORY    writes DIRECTORY/plan.json: a server, a producer and a consumer on each node
 *   node sweep.js gather DIRECTORY        one table of DIRECTORY/NODES/result.json, as DIRECTORY/table.csv and on stdout
 *
 * EVENTS in the environment: how many events each run measures, all producers together; default as in docs/benchmarks.md.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import type { Plan } from "./driver/system.js";
import type { PhaseResult } from "./driver/topic-run.js";
import { positiveInteger, refuse } from "./suite/command.js";
import { scenario } from "./suite/scenario.js";

const [action, ...args] = process.argv.slice(2);

function numberOf(what: string, text: string | undefined): number {
  try {
    return positiveInteger(text ?? "");
  } catch {
    return refuse(`${what} is '${text ?? ""}'; it must be a whole number above 0`);
  }
}

function writePlan(nodes: number, directory: string): void {
  const wanted = process.env["EVENTS"];
  const round = 128 * nodes * nodes;
  const events =
    wanted === undefined
      ? {}
      : { events: Math.ceil(numberOf("EVENTS", wanted) / round) * round, warmUpEvents: 128 * nodes };
  const each = { servers: nodes, producers: nodes, consumers: nodes, partitions: nodes, ...events };
  const topics = [
    { name: "metadata", scenario: scenario(`${nodes}-metadata`, "nodes", each) },
    { name: "data", scenario: scenario(`${nodes}-data`, "nodes", { ...each, dataBytes: 65_536 }) },
  ];
  const plan: Plan = { system: { name: "weftline" }, directory: path.join(directory, "servers"), topics };
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, "plan.json"), `${JSON.stringify(plan)}\n`);
}

function gatherResults(directory: string): void {
  const counts = readdirSync(directory)
    .filter((name) => /^\d+$/.test(name) && existsSync(path.join(directory, name, "result.json")))
    .map(Number)
    .sort((left, right) => left - right);
  if (counts.length === 0) refuse(`there is no result in ${directory}: no NODES/result.json`);
  const rows = ["nodes,topic,phase,events,seconds,events_per_second,mib_per_second"];
  for (const nodes of counts) {
    const text = readFileSync(path.join(directory, String(nodes), "result.json"), "utf8");
    for (const { topic, phase, events, seconds, bytes } of (JSON.parse(text) as { phases: PhaseResult[] }).phases) {
      const rates = [events / seconds, bytes / seconds / 2 ** 20].map((rate) => rate.toFixed(1));
      rows.push([nodes, topic, phase, events, seconds.toFixed(3), ...rates].join(","));
    }
  }
  const table = `${rows.join("\n")}\n`;
  writeFileSync(path.join(directory, "table.csv"), table);
  process.stdout.write(table);
}

if (action === "plan") writePlan(numberOf("NODES", args[0]), args[1] ?? refuse("name the directory"));
else if (action === "gather") gatherResults(args[0] ?? refuse("name the directory"));
else refuse("use: sweep.js plan NODES DIRECTORY, or sweep.js gather DIRECTORY");
