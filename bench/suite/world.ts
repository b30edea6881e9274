/** One launch of ranks that wait for their turns: a world of one system and one scenario, alive over all its runs. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { Plan, SystemPlan } from "../driver/system.js";
import type { PhaseResult } from "../driver/topic-run.js";
import { benchModule } from "../driver/native-programs.js";
import { storedMetadataBytes } from "../driver/payload.js";
import { type Scenario, batchOf } from "./scenario.js";

const rankProgram = fileURLToPath(new URL("../driver/rank.js", import.meta.url));
/** From build/ts/bench/suite, where this runs. */
const mpiexec = fileURLToPath(new URL("../../../../launch/mpiexec.sh", import.meta.url));
const turnTimeoutMs = 60_000;

/** Clients through the C API, in the place of those in TypeScript. */
export interface CClients {
  readonly gate: string;
  readonly prefix: string;
  readonly runs: number;
}

/** What native/bench/c_driver.cc can do. */
export function cClientsCan({ selectData, selectEvents, hosts }: Scenario): boolean {
  return selectData === 100 && selectEvents === 100 && hosts === 1;
}

/** The command line of one MPMD launch: servers, producers, consumers. */
export function launchArguments(
  scenario: Scenario,
  planFile: string,
  resultFile: string,
  cClients?: CClients,
): string[] {
  const { transport, dataBytes, partitions, producers, consumers, events, warmUpEvents, mode, load } = scenario;
  const metadataBytes = storedMetadataBytes(scenario);
  const numbers = [metadataBytes, dataBytes, batchOf(scenario), partitions, producers, consumers, events, warmUpEvents];
  const part = (count: number, role: string): string[] => {
    if (cClients !== undefined && role !== "server") {
      const { gate, prefix, runs } = cClients;
      const program = benchModule("c_driver");
      const places = [role, gate, prefix, String(runs), transport, scenario.encoding];
      return ["-n", String(count), program, ...places, ...numbers.map(String), mode, String(load)];
    }
    return [
      ...["-n", String(count), process.execPath, rankProgram, "--role", role],
      ...["--plan", planFile, "--result", resultFile],
    ];
  };
  return [
    ...part(scenario.servers, "server"),
    ":",
    ...part(scenario.producers, "producer"),
    ":",
    ...part(scenario.consumers, "consumer"),
  ];
}

/** What starts ranks: a program, its arguments before those of the launch, and variables. */
export interface Launcher {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Record<string, string>;
}
const here: Launcher = { program: mpiexec, args: [], environment: {} };

const running = new Set<World>();

/** When the program is interrupted: no launch outlives it. */
export async function endWorlds(): Promise<void> {
  await Promise.all([...running].map((world) => world.end(false)));
}

export class World {
  readonly #child: ChildProcess;
  readonly #gate: string;
  readonly #ended: Promise<void>;
  #words = "";
  #isEnded = false;
  /** Status or signal of the launcher, once it ended. */
  #outcome = "";

  /** `directory`: of its own; `runs` topics named `prefix-0`, `prefix-1`, …. `inC`: clients through the C API. */
  constructor(
    system: SystemPlan,
    scenario: Scenario,
    runs: number,
    directory: string,
    prefix: string,
    { inC = false, launcher = here }: { inC?: boolean; launcher?: Launcher } = {},
  ) {
    this.#gate = path.join(directory, "gate");
    mkdirSync(this.#gate, { recursive: true });
    const topics = Array.from({ length: runs }, (_, run) => ({ name: `${prefix}-${run}`, scenario }));
    const plan: Plan = { system, topics, directory: path.join(directory, "servers"), gate: this.#gate };
    const planFile = path.join(directory, "plan.json");
    writeFileSync(planFile, JSON.stringify(plan));
    const cClients = inC ? { gate: this.#gate, prefix, runs } : undefined;
    const result = path.join(directory, "result.json");
    const args = [...launcher.args, ...launchArguments(scenario, planFile, result, cClients)];
    this.#child = spawn(launcher.program, args, {
      env: { ...process.env, ...launcher.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#words = (this.#words + text).slice(-4096)));
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", (error) => (this.#words += error.message));
      this.#child.on("close", (status, signal) => {
        this.#outcome = signal === null ? `status ${status}` : signal;
        this.#isEnded = true;
        running.delete(this);
        resolve();
      });
    });
    running.add(this);
  }

  /** Lets it do one run; what was measured. */
  async turn(run: number): Promise<PhaseResult[]> {
    writeFileSync(path.join(this.#gate, `go-${run}`), "");
    const file = path.join(this.#gate, `done-${run}.json`);
    const end = Date.now() + turnTimeoutMs;
    while (!existsSync(file)) {
      if (this.#isEnded) throw new Error(`the ranks ended (${this.#outcome}): ${this.#words || "they said nothing"}`);
      if (Date.now() > end) throw new Error(`no result after ${turnTimeoutMs / 1000} s: ${this.#words}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return JSON.parse(readFileSync(file, "utf8")) as PhaseResult[];
  }

  /** After its last turn it ends by itself; else, and if that takes long, it is made to. */
  async end(isDone: boolean): Promise<void> {
    const insist = setTimeout(() => this.#child.kill("SIGTERM"), isDone ? 20_000 : 0);
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), isDone ? 30_000 : 5000);
    await this.#ended;
    clearTimeout(insist);
    clearTimeout(kill);
  }
}
