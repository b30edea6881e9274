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
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Option } from "commander";
import { type Communicator, type Job, isWeftError, join, serve } from "weftline";

import { benchCommand, refuse, writableFile } from "../suite/command.js";
import { problemOf } from "../suite/scenario.js";
import { CommonClock, gather } from "./clock.js";
import { KafkaSystem } from "./kafka-system.js";
import { NatsSystem } from "./nats-system.js";
import { type RankRole, TopicRun } from "./topic-run.js";
import type { Plan, System } from "./system.js";
import { WeftlineSystem, topicConfig } from "./weftline-system.js";

const roles = ["server", "producer", "consumer"] as const;
const options = benchCommand("rank.js", "One rank of a measured world; docs/benchmarks.md")
  .addOption(
    new Option("--role <role>", "of this rank; auto: by its number").choices([...roles, "auto"]).default("auto"),
  )
  .requiredOption("--plan <file>", "what is measured")
  .requiredOption("--result <file>", "for the first server's results")
  .parse()
  .opts<{ role: RankRole | "auto"; plan: string; result: string }>();

function readPlan(file: string): Plan {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Plan;
  } catch (error) {
    return refuse(`the plan '${file}' cannot be read: ${(error as Error).message}`);
  }
}
const plan = readPlan(options.plan);
const scenario = plan.topics[0]?.scenario ?? refuse(`the plan '${options.plan}' has no topics`);
for (const topic of plan.topics) {
  const problem = problemOf(topic.scenario);
  if (problem !== undefined) refuse(`topic '${topic.name}' of the plan '${options.plan}': ${problem}`);
}

const countOf = { server: "servers", producer: "producers", consumer: "consumers" } as const;

function roleOf(wanted: RankRole | "auto", { servers, producers }: { servers: number; producers: number }): RankRole {
  if (wanted !== "auto") return wanted;
  const variables = ["PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID", "PALS_RANKID"];
  const text = variables.map((name) => process.env[name]).find((value) => value !== undefined);
  if (text === undefined) refuse("--role auto needs a launcher that numbers its ranks; name the role");
  const rank = Number(text);
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
  // Its own in each launch: what one that was killed has left is in nobody's way.
  const data = path.join(plan.directory, `server-{rank}-${randomUUID()}`);
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
  const { data: folder = data } = server.facts();
  const close = async (): Promise<void> => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { world: server.world, job: undefined, roleRank: server.slot, close };
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

async function becomeMember(): Promise<Membership> {
  try {
    return await (role === "server" ? becomeServer(scenario) : becomeClient(scenario));
  } catch (error) {
    console.error(`error: ${isWeftError(error) ? error.message : String(error)}`);
    process.exit(1);
  }
}
const member = await becomeMember();

/** Why this rank alone cannot go on. */
function ownProblem({ world }: Membership): string | undefined {
  if (world.rank !== 0) return undefined;
  try {
    writableFile(options.result);
    return undefined;
  } catch (error) {
    return `--result '${options.result}': ${(error as Error).message}`;
  }
}

/** Why these ranks cannot measure this plan: all of them know when one of them cannot. Collective, programs in C too. */
async function findProblem(member: Membership): Promise<string | undefined> {
  const own = ownProblem(member);
  const ranks = await gather(member.world, [roles.indexOf(role), own === undefined ? 0 : 1]);
  if (own !== undefined) return own;
  const failed = ranks.findIndex(([, flag]) => flag !== 0);
  if (failed !== -1) return `rank ${failed} cannot take part`;
  const counts = roles.map((_, index) => ranks.filter(([one]) => one === index).length);
  for (const topic of plan.topics) {
    const odd = roles.findIndex((one, index) => counts[index] !== topic.scenario[countOf[one]]);
    const one = roles[odd];
    if (one === undefined) continue;
    const wanted = topic.scenario[countOf[one]];
    return `the launch has ${counts[odd]} ranks in the role of ${one}, topic '${topic.name}' of the plan wants ${wanted}`;
  }
  return undefined;
}
const problem = await findProblem(member);
if (problem !== undefined) {
  if (member.world.rank === 0 || ownProblem(member) !== undefined) console.error(`error: ${problem}`);
  await member.close().catch(() => undefined);
  process.exit(2);
}

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
