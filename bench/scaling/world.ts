/** One measured world: its processes are started, led through the stages, and ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { type Plan, type RankReport, type Stage, planFile, readReport, stages } from "./report.js";

const rankProgram = fileURLToPath(new URL("./rank.js", import.meta.url));
/** From build/ts/bench/scaling, where this runs. */
const mpiexec = fileURLToPath(new URL("../../../../launch/mpiexec.sh", import.meta.url));
const stageTimeoutMs = 120_000;

export interface Shape {
  readonly name: string;
  readonly servers: number;
  /** Processes. */
  readonly clients: number;
  readonly partitions: number;
  /** "join": servers and clients are one MPI world; "attach": the clients come from outside, without MPI. */
  readonly clientsBy: "join" | "attach";
  readonly memberships: number;
}

/** Of one stage, all ranks. */
export interface StageReports {
  readonly servers: readonly RankReport[];
  readonly clients: readonly RankReport[];
}

export interface WorldReports {
  readonly shape: Shape;
  readonly stages: Readonly<Record<Stage, StageReports>>;
  /** Bytes in the group directory while all run, and files. */
  readonly group: { readonly bytes: number; readonly files: number };
  /** Bytes of the files of that name in the data directories of all servers, at the end. */
  readonly files: Readonly<Record<"catalogue" | "cursors" | "checkpoint", number>>;
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
const bytesOf = (files: readonly string[]): number => files.reduce((sum, file) => sum + statSync(file).size, 0);

class Processes {
  readonly #children: ChildProcess[] = [];
  #words = "";
  #failure: string | undefined;

  start(program: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}): void {
    const env = { ...process.env, ...environment };
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (this.#words = (this.#words + text).slice(-4096)));
    }
    child.on("error", (error) => (this.#failure = error.message));
    child.on("close", (code, signal) => {
      if (code !== 0) this.#failure ??= `a process ended with ${code ?? signal}: ${this.#words}`;
    });
    this.#children.push(child);
  }

  readonly failure = (): string | undefined => this.#failure;

  /** Waits for the end of those that were started last. */
  async endOf(count: number): Promise<void> {
    const last = this.#children.slice(-count).filter(({ exitCode }) => exitCode === null);
    await Promise.all(last.map((child) => new Promise((resolve) => child.once("close", resolve))));
  }

  /** Waits for their end; then, or when it takes too long, they are made to. */
  async end(timeoutMs: number): Promise<void> {
    const runs = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;
    const left = (): ChildProcess[] => this.#children.filter(runs);
    const kill = setTimeout(() => left().forEach((child) => child.kill("SIGTERM")), timeoutMs);
    const insist = setTimeout(() => left().forEach((child) => child.kill("SIGKILL")), timeoutMs + 5_000);
    await Promise.all(left().map((child) => new Promise((resolve) => child.once("close", resolve))));
    clearTimeout(kill);
    clearTimeout(insist);
  }
}

/** libfabric's buffers of many lanes in one client would fill the machine; the server has them as always. */
const smallLanes = { FI_OFI_RXM_MSG_TX_SIZE: "32", FI_OFI_RXM_MSG_RX_SIZE: "32" };
/** A small young generation: what JavaScript's heap varies by would hide what a session costs. */
const node = ["--expose-gc", "--max-semi-space-size=1", rankProgram];

function startLaunch(processes: Processes, shape: Shape, directory: string): void {
  const servers = ["-n", String(shape.servers), process.execPath, ...node, "server", directory];
  const clients = ["-n", String(shape.clients), process.execPath, ...node, "client", directory];
  processes.start(mpiexec, shape.clientsBy === "join" ? [...servers, ":", ...clients] : servers);
}

export async function measureWorld(
  shape: Shape,
  directory: string,
  settings: { readonly transports: string; readonly idleSeconds: number },
): Promise<WorldReports> {
  mkdirSync(directory, { recursive: true });
  const data = path.join(directory, "data");
  const plan: Plan = { ...shape, ...settings, directory: data };
  writeFileSync(path.join(directory, planFile), JSON.stringify(plan));
  // The ranks find plan and signs here, and their data below.
  const processes = new Processes();
  const report = (role: "server" | "client", number: number, stage: Stage): Promise<RankReport> =>
    readReport(directory, role, number, stage, stageTimeoutMs, processes.failure);
  const all = (role: "server" | "client", count: number, stage: Stage): Promise<RankReport[]> =>
    Promise.all(Array.from({ length: count }, (_, number) => report(role, number, stage)));
  const sign = (name: string): void => writeFileSync(path.join(directory, name), "");
  try {
    startLaunch(processes, shape, directory);
    if (shape.clientsBy === "attach") {
      await all("server", shape.servers, "start");
      const environment = shape.memberships > 1 ? smallLanes : {};
      for (let number = 0; number < shape.clients; number++) {
        processes.start(process.execPath, [...node, "client", directory, String(number)], environment);
      }
    }
    const measured: Partial<Record<Stage, StageReports>> = {};
    for (const stage of stages) {
      if (stage !== "start" && stage !== "joined") sign(`client-${stage}`);
      // Both wait at the same time.
      if (stage === "idle") sign("server-idle");
      const clients = await all("client", shape.clients, stage);
      if (stage !== "start" && stage !== "idle") sign(`server-${stage}`);
      measured[stage] = { servers: await all("server", shape.servers, stage), clients };
    }
    const group = filesBelow(path.join(data, "server-0", "group"));
    const groupFacts = { bytes: bytesOf(group), files: group.length };
    sign("client-end");
    // Clients that attached leave by themselves; those of a world leave together with its servers.
    if (shape.clientsBy === "attach") await processes.endOf(shape.clients);
    sign("server-end");
    await processes.end(60_000);
    const failure = processes.failure();
    if (failure !== undefined) throw new Error(failure);
    const stored = filesBelow(data);
    const named = (name: string): number => bytesOf(stored.filter((file) => path.basename(file) === name));
    return {
      shape,
      stages: measured as Record<Stage, StageReports>,
      group: groupFacts,
      files: { catalogue: named("catalogue"), cursors: named("cursors"), checkpoint: named("checkpoint") },
    };
  } finally {
    await processes.end(0);
  }
}
