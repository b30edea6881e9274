/**
 * One process of a measured world: a server or a client. Goes through the stages as the starting program lets it, and
 * reports after each what it holds.
 *
 *   node --expose-gc rank.js server DIRECTORY
 *   node --expose-gc rank.js client DIRECTORY           joins the MPI world of its launch
 *   node --expose-gc rank.js client DIRECTORY NUMBER    attaches from outside, through the group directory
 */
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { type Job, attach, join, serve } from "weftline";

import { type Footprint, footprint } from "./footprint.js";
import { type Plan, type RankReport, type Stage, fileThere, planFile, stages, writeReport } from "./report.js";

const [role, directory, place] = process.argv.slice(2);
if ((role !== "server" && role !== "client") || directory === undefined) {
  console.error("use: rank.js server|client DIRECTORY [NUMBER]");
  process.exit(2);
}
const plan = JSON.parse(readFileSync(path.join(directory, planFile), "utf8")) as Plan;
const topicName = "scaling";
const stageTimeoutMs = 120_000;

interface Member {
  readonly number: number;
  counters(): Record<string, unknown>;
  perform(stage: Stage): Promise<void>;
  close(): Promise<void>;
}

async function becomeServer(): Promise<Member> {
  mkdirSync(plan.directory, { recursive: true });
  const server = await serve({
    data: path.join(plan.directory, "server-{rank}"),
    topics: { [topicName]: { partitions: plan.partitions } },
    transports: plan.transports,
    log: (level, line) => {
      if (level === "warning" || level === "error") console.error(line);
    },
  });
  return {
    number: server.slot,
    counters: () => server.counters(),
    perform: (stage) => (stage === "idle" ? idle() : Promise.resolve()),
    close: () => server.close(),
  };
}

const idle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, plan.idleSeconds * 1000));

/** Each membership opens a producer and pushes to every partition, then reads one partition under a name of its own. */
async function becomeClient(): Promise<Member> {
  const jobs: Job[] = [];
  if (place === undefined) {
    jobs.push(await join({ name: "client", transports: plan.transports, timeoutMs: stageTimeoutMs }));
  }
  const group = path.join(plan.directory, "server-0", "group");
  while (jobs.length < plan.memberships) {
    jobs.push(await attach(group, { name: "client", transports: plan.transports, timeoutMs: stageTimeoutMs }));
  }
  const [first] = jobs;
  if (first === undefined) throw new Error("the plan has no memberships");
  const number = place === undefined ? first.groupRank : Number(place);
  const endings: (() => Promise<void>)[] = [];
  const produce = async (job: Job): Promise<void> => {
    const topic = await job.topic(topicName);
    const producer = await topic.producer();
    endings.push(() => producer.close());
    for (let partition = 0; partition < plan.partitions; partition++)
      producer.push({ number }, undefined, { partition });
    await producer.flush();
  };
  const consume = async (job: Job, index: number): Promise<void> => {
    const topic = await job.topic(topicName);
    const partition = (number * plan.memberships + index) % plan.partitions;
    const consumer = topic.consumer({ name: `reader-${number}-${index}`, partitions: [partition] });
    endings.push(() => consumer.close());
    for (const event of await consumer.pull({ max: 1 })) event.ack();
    await consumer.commit();
  };
  return {
    number,
    counters: () => first.counters(),
    perform: async (stage) => {
      if (stage === "produced") for (const job of jobs) await produce(job);
      if (stage === "consumed") for (const [index, job] of jobs.entries()) await consume(job, index);
      if (stage === "idle") await idle();
    },
    close: async () => {
      for (const end of endings) await end();
      for (const job of jobs) await job.close();
    },
  };
}

let since = performance.now();
let cpuSinceMs = footprint().cpuMs;
const before = footprint();
function begin(): void {
  cpuSinceMs = footprint().cpuMs;
  since = performance.now();
}
function report(number: number, stage: Stage, held: Footprint, counters: Record<string, unknown>): void {
  const elapsedMs = performance.now() - since;
  const cpuMs = Math.max(0, held.cpuMs - cpuSinceMs);
  const known = counters as RankReport["counters"];
  writeReport(directory as string, {
    ...{ role: role as RankReport["role"], number, stage },
    ...{ footprint: held, counters: known, elapsedMs, cpuMs },
  });
}
const stageMayEnd = (name: string): Promise<void> =>
  fileThere(path.join(directory, name), stageTimeoutMs, () => undefined);

begin();
const member = await (role === "server" ? becomeServer() : becomeClient());
report(member.number, "start", before, {}); // with the time that it took to join
for (const stage of stages.slice(1)) {
  // A server looks at itself when the clients have done their part.
  if (stage !== "joined" || role === "server") {
    await stageMayEnd(`${role}-${stage}`);
    if (stage !== "joined") begin();
  }
  await member.perform(stage);
  report(member.number, stage, footprint(), member.counters());
}
await stageMayEnd(`${role}-end`);
await member.close();
