/**
 * `npm run bench`: Weftline beside its peers and the limits of this machine.
 *
 *   npm run bench -- [--quick] [--only NAME,…] [--systems weftline,weftline-c,kafka,kafka-tools,nats,limit] [--runs N]
 *     [--json FILE] [--report DIR] [--directory DIR] [--kafka ADDRESS] [--minutes N] [--list]
 *
 * --only: scenarios by name, by factor, or by the beginning of their names; `micro`: the micro-benchmarks, native and in
 * JavaScript. --kafka: a broker of Kafka's protocol that runs already, such as Redpanda. --minutes: no scenario is begun
 * after so long; those left out are named.
 * docs/benchmarks.md has the rest.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";

import { writeReport } from "./report/page.js";
import { plotsOf } from "./report/plots.js";
import {
  benchCommand,
  names,
  positiveInteger,
  positiveNumber,
  refuse,
  scratchFolder,
  someOf,
  writableFile,
  writableFolder,
} from "./suite/command.js";
import { machineFacts } from "./suite/machine.js";
import { type MicroRow, javascriptRows, nativeRows } from "./suite/micro.js";
import { startPeers } from "./suite/peers.js";
import { type Series, formatVersion, ratiosOf, rowsOf } from "./suite/rows.js";
import { type Failure, ScenarioRunner } from "./suite/runner.js";
import type { Scenario } from "./suite/scenario.js";
import { allScenarios, chooseScenarios, quickNames } from "./suite/scenarios.js";
import { tableOf } from "./suite/table.js";
import { endWorlds } from "./suite/world.js";

const systemNames = ["weftline", "weftline-c", "kafka", "kafka-tools", "nats", "limit"];
const options = benchCommand(
  "npm run bench --",
  "Weftline beside its peers and the limits of this machine; docs/benchmarks.md",
)
  .option("--quick", "a telling part, each scenario a quarter as long", false)
  .option("--only <names>", "scenarios by name, by factor, or by the beginning of their names; micro", names, [])
  .option("--systems <names>", `of ${systemNames.join(",")}`, someOf(systemNames), systemNames)
  .option("--runs <number>", "runs of each", positiveInteger, 5)
  .option("--json <file>", "everything as JSON", writableFile)
  .option("--report <folder>", "a page with plots", writableFolder)
  .option("--directory <folder>", "on the device to measure", writableFolder, path.resolve("build"))
  .option("--kafka <address>", "a broker of Kafka's protocol that runs already")
  .option("--minutes <number>", "no scenario is begun after so long (40; with --quick 7)", positiveNumber)
  .option("--list", "only the names of the scenarios", false)
  .parse()
  .opts<{
    quick: boolean;
    only: string[];
    systems: string[];
    runs: number;
    json?: string;
    report?: string;
    directory: string;
    kafka?: string;
    minutes?: number;
    list: boolean;
  }>();
const scale = options.quick ? 0.25 : 1;
/** Where Kafka's own tools take part: each of their runs starts two virtual machines, which takes longer than all else. */
const toolScenarios = options.quick
  ? ["base"]
  : ["base", "encoding-raw", "data-64KiB", "data-1MiB", "batch-1", "durability-synced"];
const all = allScenarios(scale);
const { only } = options;
const isOnlyMicro = only.join() === "micro";
function chosenByName(): Scenario[] {
  try {
    return chooseScenarios(
      all,
      only.filter((name) => name !== "micro"),
    );
  } catch (error) {
    return refuse((error as Error).message);
  }
}
const named = chosenByName();
const quick = all.filter(({ name }) => quickNames.includes(name));
const chosen = isOnlyMicro ? [] : options.quick && only.length === 0 ? quick : named;
if (options.list) {
  for (const { name, factor } of chosen) console.log(`${name} (${factor})`);
  process.exit(0);
}
const systems = new Set(options.systems);
const minutes = options.minutes ?? (options.quick ? 7 : 40);
const begun = Date.now();
const say = (text: string): void => {
  console.error(`${((Date.now() - begun) / 1000).toFixed(0)} s  ${text}`);
};

const scratch = scratchFolder(options.directory, "bench-");
const directory = scratch.folder;
const peerNames = new Set([...(isOnlyMicro ? [] : systems)].map((name) => (name === "kafka-tools" ? "kafka" : name)));
const peers = await startPeers(peerNames, directory, options.kafka);
for (const [name, reason] of Object.entries(peers.missing)) say(`${name} is missing: ${reason}`);

async function cleanUp(): Promise<void> {
  await endWorlds();
  await peers.end();
  scratch.remove();
}
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupted) {
      say("ends now");
      void cleanUp().then(() => process.exit(1));
      return;
    }
    interrupted = true;
    say("ends after this scenario, with what was measured; a second signal ends it at once");
  });
}

const series: Series[] = [];
const failures: Failure[] = [];
const notRun: string[] = [];
try {
  for (const scenario of chosen) {
    if (interrupted) {
      notRun.push(`${scenario.name}: it was interrupted`);
      continue;
    }
    if (Date.now() - begun > minutes * 60_000) {
      notRun.push(`${scenario.name}: the ${minutes} minutes were over`);
      continue;
    }
    say(scenario.name);
    const withTools = toolScenarios.includes(scenario.name);
    const those = new Set([...systems].filter((name) => withTools || name !== "kafka-tools"));
    const runner = new ScenarioRunner(scenario, {
      directory,
      runs: options.runs,
      scale,
      systems: those,
      peers,
      say,
    });
    series.push(...(await runner.measure()));
    failures.push(...runner.failures);
  }
} finally {
  await cleanUp();
}

const micro: MicroRow[] = [];
if (!interrupted && (only.length === 0 || only.includes("micro"))) {
  for (const rowsIn of [nativeRows, javascriptRows]) {
    try {
      micro.push(...(await rowsIn(options.quick ? 0.05 : 0.5)));
    } catch (error) {
      notRun.push(`micro: ${(error as Error).message}`);
    }
  }
}
const rows = rowsOf(series);
const { ratios, latencyRatios } = ratiosOf(series);
const result = {
  version: formatVersion,
  machine: machineFacts(),
  versions: peers.versions,
  settings: { runs: options.runs, quick: options.quick, scenarios: chosen },
  rows,
  ratios,
  latency_ratios: latencyRatios,
  micro,
  missing: peers.missing,
  failures,
  not_run: notRun,
};
if (rows.length > 0) console.log(tableOf(rows));
for (const [title, table] of [
  ["ours divided by (above 1: faster)", ratios],
  ["p50 of latency, ours divided by (below 1: faster)", latencyRatios],
] as const) {
  if (Object.keys(table).length === 0) continue;
  console.log(title);
  for (const [scenario, of] of Object.entries(table)) {
    const line = Object.entries(of).map(([system, ratio]) => `${system} ${ratio.toFixed(2)}`);
    console.log(`  ${scenario}: ${line.join(", ")}`);
  }
}
for (const { name, nanoseconds, items_per_second: items } of micro) {
  console.log(
    `  ${name}: ${nanoseconds.toFixed(0)} ns${items === null ? "" : `, ${Math.round(items).toLocaleString("en")}/s`}`,
  );
}
for (const [name, reason] of Object.entries(peers.missing)) console.log(`missing: ${name}: ${reason}`);
for (const { scenario, system, reason } of failures) console.log(`missing: ${scenario}: ${system}: ${reason}`);
for (const line of notRun) console.log(`not run: ${line}`);
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
if (options.report !== undefined) {
  const { machine, versions, missing } = result;
  const facts = { machine, versions, missing, failures, not_run: notRun };
  const noImages = await writeReport(options.report, await plotsOf(rows, chosen, ratios), tableOf(rows), facts);
  if (noImages !== undefined) say(noImages);
}
if (rows.length + micro.length === 0) process.exitCode = 1;
