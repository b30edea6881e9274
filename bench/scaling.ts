/**
 * What a rank, a server and a partition cost, counted in worlds of 1 to 64 client ranks, beside what the model of
 * bench/scaling/model.ts says. Counts and memory only: that the ranks share the cores does not change them.
 *
 *   npm run bench:scaling -- [--json FILE] [--only NAMES] [--clients 1,4,16,64] [--transports tcp] [--partitions 64]
 *     [--directory DIR]
 *
 * --clients: of the worlds that grow. --only: shapes by the beginning of their names, as in "join-1x,attach". --json:
 * every report of every rank.
 */
import { rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

import { compare, slopesOf } from "./scaling/comparison.js";
import { predictionTable, slopesTable, worldTable, worldsTable } from "./scaling/tables.js";
import { type Shape, type WorldReports, measureWorld } from "./scaling/world.js";
import {
  benchCommand,
  names,
  positiveInteger,
  refuse,
  scratchFolder,
  writableFile,
  writableFolder,
} from "./suite/command.js";
import { machineFacts } from "./suite/machine.js";

const options = benchCommand("npm run bench:scaling --", "What ranks, servers and partitions cost; docs/scaling.md")
  .option("--json <file>", "every report of every rank", writableFile)
  .option("--only <names>", "worlds by the beginning of their names, as join-1x,attach", names, [])
  .option("--clients <numbers>", "client ranks of the worlds that grow", (text) => names(text).map(positiveInteger), [
    ...[1, 4, 16, 64],
  ])
  .option("--transports <names>", "that the ranks may use", "tcp")
  .option("--partitions <number>", "that each client opens to push", positiveInteger, 64)
  .option("--directory <folder>", "for the servers' files", writableFolder, path.resolve("build"))
  .parse()
  .opts<{
    json?: string;
    only: string[];
    clients: number[];
    transports: string;
    partitions: number;
    directory: string;
  }>();
const { partitions, clients: clientCounts, only: wanted } = options;
/** A client process takes less than so much; the largest world must fit beside everything else. */
const bytesPerClientMax = 150 * 2 ** 20;

function joinShape(servers: number, clients: number): Shape {
  const name = `join-${servers}x${clients}`;
  return { name, servers, clients, partitions, clientsBy: "join", memberships: 1 };
}
function attachShape(clients: number, memberships: number): Shape {
  const name = `attach-1x${clients * memberships}`;
  return { name, servers: 1, clients, partitions, clientsBy: "attach", memberships };
}
const shapes: readonly Shape[] = [
  ...[1, 4].flatMap((servers) => clientCounts.map((clients) => joinShape(servers, clients))),
  // More slots than a client connects to while it joins.
  joinShape(20, 4),
  // From outside the MPI world, which keeps MPI's own memory out of the servers; many memberships in a process at last.
  ...clientCounts.filter((clients) => clients !== 4).map((clients) => attachShape(clients, 1)),
  attachShape(8, 16),
];
const chosen = shapes.filter(({ name }) => wanted.length === 0 || wanted.some((begin) => name.startsWith(begin)));
if (chosen.length === 0) {
  refuse(`no world's name begins with ${wanted.join(" or ")}; there are: ${shapes.map(({ name }) => name).join(", ")}`);
}

const scratch = scratchFolder(options.directory, "bench-scaling-");
const directory = scratch.folder;
const worlds: WorldReports[] = [];
const failures: string[] = [];
try {
  for (const shape of chosen) {
    const needed = (shape.clients + shape.servers) * bytesPerClientMax;
    if (needed > os.freemem() + 2 ** 30) {
      failures.push(`${shape.name}: left out, it wants ${Math.round(needed / 2 ** 30)} GiB of memory that is free`);
      continue;
    }
    if (process.stderr.isTTY) console.error(`${shape.name} …`);
    try {
      const settings = { transports: options.transports, idleSeconds: 4 };
      worlds.push(await measureWorld(shape, path.join(directory, shape.name), settings));
    } catch (error) {
      failures.push(`${shape.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    rmSync(path.join(directory, shape.name), { recursive: true, force: true });
  }
} finally {
  scratch.remove();
}

console.log("# Worlds\n");
console.log(worldsTable(worlds));
console.log("\n# Measured, predicted, error\n");
for (const world of worlds) console.log(`${worldTable(world.shape.name, compare(world))}\n`);
for (const [what, begin] of [
  ["one client more, which joined the MPI world", "join-1x"],
  ["one client more, from outside", "attach-1x"],
] as const) {
  const group = worlds.filter(({ shape }) => shape.name.startsWith(begin));
  if (group.length > 1) console.log(slopesTable(what, slopesOf(group)));
}
console.log("\n# Predicted, not tried\n");
console.log(predictionTable());
for (const failure of failures) console.error(failure);
if (options.json !== undefined) {
  writeFileSync(options.json, JSON.stringify({ machine: machineFacts(), options, worlds, failures }, null, 1));
}
process.exit(failures.length === 0 ? 0 : 1);
