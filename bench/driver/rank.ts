/**
 * One rank of a measured world: server, producer or consumer. All ranks join one MPI world with `launch/mpiexec.sh`, or
 * whatever launcher the machine has, agree on one clock, and go through the same topics and phases in step. The first
 * server gathers the results of all ranks and writes them into one file.
 *
 *   node rank.js --role server|producer|consumer|auto --plan plan.json --result result.json
 *
 * auto: by the number that the launcher gives the rank: first the scenario's servers, then producers, then consumers.
 * For a peer the server ranks are there for the collectives only, and sleep; its own server is a process beside them.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { type Communicator, type Job, join, serve } from "weftline";

import { CommonClock } from "./clock.js";
import { KafkaSystem } from "./kafka-system.js";
import { NatsSystem } from "./nats-system.js";
import { type RankRole, TopicRun } from "./topic-run.js";
import type { Plan, System } from "./system.js";
import { WeftlineSystem, topicConfig } from "./weftline-system.js";

const { values: options } = parseArgs({
  options: {
    role: { type: "string", default: "auto" },
    plan: { type: "string" },
    result: { type: "string" },
  },
});
if (options.plan === undefined || options.result === undefined) {
  console.error("use: rank.js --role server|producer|consumer|auto --plan FILE --result FILE");
  process.exit(2);
}
const plan = JSON.parse(readFileSync(options.plan, "utf8")) as Plan;
const scenario = plan.topics[0]?.scenario;
if (scenario === undefined) throw new Error("the plan has no topics");

function roleOf(wanted: string, { servers, producers }: { servers: number; producers: number }): RankRole {
  if (wanted === "server" || wanted === "producer" || wanted === "consumer") return wanted;
  const names = ["PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID", "PALS_RANKID"];
  const rank = Number(names.map((name) => process.env[name]).find((value) => value !== undefined) ?? NaN);
  if (Number.isNaN(rank)) throw new Error("--role auto needs a launcher that numbers its ranks; name the role");
  if (rank < servers) return "server";
  return rank < servers + producers ? "producer" : "consumer";
}
const role = roleOf(options.role, scenario);
const isWeftline = plan.system.name === "weftline";

interface Membership {
  readonly world: Communicator;
  readonly job: Job | undefined;
  /** Among the ranks of this role. */
  readonly roleRank: number;
  close(): Promise<void>;
}

async function becomeServer({ transport }: { transport: string }): Promise<Membership> {
  const data = path.join(plan.directory, "server-{rank}");
  mkdirSync(plan.directory, { recursive: true });
  const topics = Object.fromEntries(plan.topics.map((topic) => [topic.name, topicConfig(topic)]));
  const server = await serve({
    data,
    topics: isWeftline ? topics : {},
    transports: transport,
    log: (level, line) => {
      if (level === "warning" || level === "error") console.error(line);
    },
  });
  return { world: server.world, job: undefined, roleRank: server.slot, close: () => server.close() };
}

async function becomeClient({ transport }: { transport: string }): Promise<Membership> {
  const job = await join({ name: role, transports: transport });
  return { world: job.world, job, roleRank: job.groupRank, close: () => job.close() };
}

function openSystem(job: Job | undefined): System | undefined {
  switch (plan.system.name) {
    case "weftline":
      return job === undefined ? undefined : new WeftlineSystem(job);
    case "kafka":
      return new KafkaSystem(plan.system);
    case "nats":
      return new NatsSystem(plan.system);
  }
}

const member = await (role === "server" ? becomeServer(scenario) : becomeClient(scenario));
const clock = await CommonClock.agree(member.world);
const system = openSystem(member.job);

/** Looked for by each rank by itself: a collective that waits would be polled all the time. */
const gateLookMs = 5;
async function waitForTurn(number: number): Promise<void> {
  if (plan.gate === undefined) return;
  const file = path.join(plan.gate, `go-${number}`);
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, gateLookMs));
}

/** Whole or not at all: somebody waits for the file. */
function writeWhole(file: string, value: object): void {
  writeFileSync(`${file}.part`, `${JSON.stringify(value, null, 2)}\n`);
  renameSync(`${file}.part`, file);
}

const phases = [];
for (const [number, topic] of plan.topics.entries()) {
  await waitForTurn(number);
  const run = new TopicRun({ ...member, role, clock, system, topic });
  const measured = await run.measure();
  if (member.world.rank === 0 && plan.gate !== undefined) {
    writeWhole(path.join(plan.gate, `done-${number}.json`), measured);
  }
  phases.push(...measured);
}
if (member.world.rank === 0) {
  const result = { phases, host: os.hostname(), ranks: member.world.size, system: plan.system.name };
  writeWhole(options.result, result);
}
await system?.close();
await member.world.barrier();
await member.close();
