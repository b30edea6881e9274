// One launch from its start to its end: stage in, the world, its servers, what attaches, the drain, stage out. JavaScript
// thread; it waits for processes and for the group directory, each with a time limit.
//
// The end of a launch that is told to stop: the servers are asked to drain through the group directory, as any client can
// ask, and only then is the world ended. Signals alone would not do: an mpiexec passes them to all ranks at once, and the
// first that dies of it takes the draining servers with it.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { constants, hostname } from "node:os";
import { dirname } from "node:path";
import { attach } from "../job/job.js";
import { SAME_WISH_MS } from "../control/signals.js";
import { WeftError } from "../errors.js";
import { formatTime } from "../config/units.js";
import { Child, type Outputs, type Relabel } from "./children.js";
import { thisMachine } from "./group-files.js";
import { Guard, WORLD } from "./guard.js";
import type { LaunchCommand } from "./launchers/launcher.js";
import { holdFile } from "./plan.js";
import { checkBefore } from "./preflight.js";
import { besideCommands, type PreparedLaunch } from "./prepare.js";
import { labelOfRank, serverOfSlot, type RankRun } from "./rank-map.js";
import { ranksOnThisMachine } from "./local-ranks.js";
import { groupBefore, type GroupBefore, missingSlots, presentSlots, whenInDirectory } from "./readiness.js";
import { checkStageIn, checkStageOut, stageCommands, stageOutWords, writeStageSummary } from "./staging.js";

/** From SIGTERM to SIGKILL. */
const PATIENCE_MS = 10_000;
/** Beyond the drain's own limit, for the request to come through and for files to go. */
const DRAIN_GRACE_MS = 5_000;
/** Servers see within 2 s that their last client is gone. */
const CLIENTS_GONE_MS = 5_000;
/** What has lost its servers may notice by itself. */
const ATTACHED_GRACE_MS = 10_000;

/** Warned, drained, staged: the same launch goes on when it is started again. */
export const EXIT_COME_AGAIN = 75;

export interface LaunchOutputs extends Outputs {
  /** A line of words about the launch itself. */
  say(text: string): void;
}

type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1";
const STATUS_OF: Readonly<Record<StopSignal, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
  SIGUSR1: EXIT_COME_AGAIN,
};

/** Runs a prepared launch; resolves with the exit status of the application, or what docs/launch.md says of signals. */
export async function runLaunch(prepared: PreparedLaunch, outputs: LaunchOutputs): Promise<number> {
  const { plan, map, launcher, input } = prepared;
  const run = new LaunchRun(prepared, outputs); // first, since it listens to signals
  try {
    checkStageIn(prepared);
    checkStageOut(prepared);
    checkBefore({
      plan,
      map,
      mpi: launcher?.mpi,
      launcherName: launcher?.kind.name ?? "",
      environment: input.environment,
      directory: input.directory,
      machine: thisMachine(),
    });
    return await run.toItsEnd();
  } finally {
    await run.close();
  }
}

/** 137 as "137 (SIGKILL)"; the mpiexec of MPICH gives the signal's own number. */
export function statusWords(status: number): string {
  const signal = Object.entries(constants.signals).find(
    ([, number]) => number === (status > 128 ? status - 128 : status),
  );
  const usual = ["SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL", "SIGSEGV", "SIGTERM"];
  if (signal === undefined || (status < 128 && !usual.includes(signal[0]))) return String(status);
  return status > 128 ? `${status} (${signal[0]})` : `${status} (its own, or of ${signal[0]})`;
}

class LaunchRun {
  readonly #started = Date.now();
  readonly #children: Child[] = [];
  readonly #ended = new AbortController();
  readonly #filesDirectories = new Set<string>();
  readonly #before: GroupBefore;
  readonly #guard: Guard;
  #world: Child | undefined;
  #stopSignal: StopSignal | undefined;
  #drain: Promise<boolean> | undefined;
  #drainingSinceMs = 0;
  #isCutShort = false;
  #serversWereThere = false;
  #warningTimer: NodeJS.Timeout | undefined;
  readonly #listeners: [StopSignal, () => void][] = [];

  constructor(
    private readonly prepared: PreparedLaunch,
    private readonly outputs: LaunchOutputs,
  ) {
    const { plan, map } = prepared;
    this.#before = groupBefore(plan.group, map.slotCount);
    this.#guard = new Guard({
      launcher: process.pid,
      stop: map.slotCount === 0 ? undefined : this.#stopCommand(),
      drainMs: plan.drainMs + DRAIN_GRACE_MS,
      patienceMs: PATIENCE_MS,
      data: plan.data,
      stageOut: plan.stageOut === undefined ? undefined : stageOutWords(plan),
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const) {
      const listener = (): void => this.#onSignal(signal);
      this.#listeners.push([signal, listener]);
      process.on(signal, listener);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#warningTimer);
    for (const [signal, listener] of this.#listeners) process.removeListener(signal, listener);
    for (const directory of this.#filesDirectories) rmSync(directory, { recursive: true, force: true });
    await this.#guard.close();
  }

  async toItsEnd(): Promise<number> {
    const { plan, map } = this.prepared;
    await this.#stage("in");
    if (this.#stopSignal !== undefined) return STATUS_OF[this.#stopSignal];
    mkdirSync(dirname(plan.group), { recursive: true });
    const hold = holdFile(plan.group);
    this.#guard.tell({ temporary: hold });
    if (map.worldSize > 0 && map.attached.length > 0) writeFileSync(hold, "");
    let code: number;
    try {
      code = await this.#runProcesses();
    } finally {
      rmSync(hold, { force: true });
      await this.#endAll();
    }
    const drained = (await this.#drain) ?? true;
    if (this.#isCutShort && this.#stopSignal !== undefined) {
      if (plan.stageOut !== undefined) this.outputs.say(`nothing is staged out; the data is in ${plan.data}`);
      return STATUS_OF[this.#stopSignal];
    }
    // Without its servers a world has stored nothing that an earlier launch did not have.
    if (map.slotCount > 0 && this.#serversWereThere) await this.#stage("out");
    if (this.#stopSignal === undefined || this.#endedByItself) {
      if (code !== 0 && this.#drain !== undefined) this.outputs.say(`the launch ends with status ${statusWords(code)}`);
      return code;
    }
    if (!drained) return 1;
    // A launch of servers alone was there to be stopped.
    const onlyServers = plan.parts.every(({ kind }) => kind === "server");
    return onlyServers && this.#stopSignal !== "SIGUSR1" ? 0 : STATUS_OF[this.#stopSignal];
  }

  /** The application heeded a warning. */
  get #endedByItself(): boolean {
    return this.#drain === undefined;
  }

  async #runProcesses(): Promise<number> {
    const { world, map } = this.prepared;
    if (world) {
      this.#world = this.#start(WORLD, world, map.world);
      void this.#world.ended.then(
        () => this.#ended.abort(),
        () => this.#ended.abort(),
      );
      await this.#servers();
    }
    const attached = this.#ended.signal.aborted || this.#stopSignal !== undefined ? [] : this.#startAttached();
    // What fails first is why; what fails after it is a consequence.
    let firstFailure = 0;
    const ended = async (child: Child): Promise<number> => {
      const { exitCode } = await child.ended;
      if (firstFailure === 0) firstFailure = exitCode;
      return exitCode;
    };
    const ofWorld = this.#world && ended(this.#world);
    void ofWorld?.then(
      (exitCode) => this.#sayWhyBad(exitCode),
      () => undefined,
    );
    const failed = attached.map(async (child) => {
      const exitCode = await ended(child);
      if (exitCode !== 0 && this.#drain === undefined) this.#beginDrain(`part '${child.name}' ended with ${exitCode}`);
      return exitCode;
    });
    void this.#world?.ended.then(
      async () => {
        // Without servers there is nothing left to do for what attaches.
        const timer = setTimeout(() => attached.forEach((child) => child.signal("SIGTERM")), ATTACHED_GRACE_MS);
        await Promise.allSettled(failed);
        clearTimeout(timer);
      },
      () => undefined, // told below
    );
    void this.#endLeftServers(failed);
    await Promise.all([ofWorld, ...failed]);
    return firstFailure;
  }

  /** After what the launcher itself says, which knows rank and signal, but not what became of the data. */
  #sayWhyBad(exitCode: number): void {
    const { map, plan } = this.prepared;
    if (exitCode === 0 || this.#drain !== undefined) return;
    const kept = this.#serversWereThere
      ? `; what was acknowledged is in ${plan.data}, and the same launch goes on with it`
      : map.slotCount > 0
        ? " before its servers were there"
        : "";
    this.outputs.say(`the world ended with status ${statusWords(exitCode)}${kept}`);
  }

  /**
   * Once all that attaches has ended, servers may end with their clients. Those that never had any do not by themselves, and
   * where the world has no programs nobody is left who could become one.
   */
  async #endLeftServers(attached: readonly Promise<number>[]): Promise<void> {
    const { map } = this.prepared;
    if (attached.length === 0) return;
    await Promise.allSettled(attached);
    rmSync(holdFile(this.prepared.plan.group), { force: true });
    if (map.world.some(({ part }) => part.kind !== "server")) return;
    const gone = await whenInDirectory(this.prepared.plan.group, () => undefined, CLIENTS_GONE_MS, this.#ended.signal);
    if (gone === undefined && !this.#ended.signal.aborted) this.#beginDrain("all that attached has ended");
  }

  /** Until all servers of the world are there; returns early when the world has ended, or is being ended. */
  async #servers(): Promise<void> {
    const { plan, map } = this.prepared;
    const look = (): true | undefined => (this.#stopSignal === undefined ? this.#areServersThere() : true);
    const ready = await whenInDirectory(plan.group, look, plan.readyMs, this.#ended.signal);
    this.#serversWereThere = this.#serversWereThere || this.#areServersThere() === true;
    if (this.#ended.signal.aborted || this.#stopSignal !== undefined) return;
    if (ready === true) {
      const seconds = ((Date.now() - this.#started) / 1000).toFixed(1);
      this.outputs.say(
        `${map.slotCount} server${map.slotCount === 1 ? " is" : "s are"} there after ${seconds} s; WEFTLINE_GROUP=${plan.group}`,
      );
      await this.#createTopics();
      return;
    }
    const missing = missingSlots(plan.group, map.slotCount, this.#before).map((slot) => {
      const server = serverOfSlot(map, slot);
      return server === undefined ? `slot ${slot}` : `slot ${slot} (rank ${server.rank} on ${server.host})`;
    });
    const ended = this.#endedRanks();
    throw new WeftError(
      "WEFT_TIMED_OUT",
      `after ${formatTime(plan.readyMs)} ${missing.length} of ${map.slotCount} servers are not there: ${missing.slice(0, 8).join(", ")}` +
        (ended.length === 0 ? "" : `; ended without joining: ${ended.slice(0, 8).join(", ")}`),
      {
        next: "a world waits for each of its ranks: every part has to join (join(), weft_join, or one of the commands), or is attach: true; servers.ready gives more time, and servers.group names a place that all nodes share",
      },
    );
  }

  /** Ranks of the world that are to be on this machine and are not: "rank 1 (solver.0)". */
  #endedRanks(): string[] {
    const { plan, map } = this.prepared;
    const here = ranksOnThisMachine(plan.group);
    const isHere = (node: number): boolean => map.nodes.length === 1 || map.nodes[node]?.host === hostname();
    return map.world
      .filter(({ node }) => isHere(node))
      .flatMap(({ firstRank, count }) => Array.from({ length: count }, (_, index) => firstRank + index))
      .filter((rank) => !here.has(rank))
      .map((rank) => `rank ${rank} (${labelOfRank(map.world, rank) ?? "?"})`);
  }

  #areServersThere(): true | undefined {
    const { plan, map } = this.prepared;
    return missingSlots(plan.group, map.slotCount, this.#before).length === 0 ? true : undefined;
  }

  /** Servers of `weftline serve` make the topics of the plan themselves; those inside of programs do not know of it. */
  async #createTopics(): Promise<void> {
    const { plan, input } = this.prepared;
    const topics = Object.entries(input.topics);
    if (topics.length === 0 || plan.parts.some(({ kind }) => kind === "server")) return;
    await using job = await attach(plan.group, { name: "weftline-launch" });
    for (const [name, config] of topics) await job.createTopic(name, config, { ifExists: "open" });
  }

  #startAttached(): Child[] {
    const { attached, map } = this.prepared;
    return attached.flatMap(({ part, commands }, index) => {
      const runs = map.attached[index] ?? [];
      return commands.map((command, number) => this.#start(part.name, command, runs, number));
    });
  }

  #start(name: string, command: LaunchCommand, runs: readonly RankRun[], number = 0): Child {
    const { input } = this.prepared;
    for (const { path, text } of command.files) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      this.#filesDirectories.add(dirname(path));
      this.#guard.tell({ temporary: dirname(path) });
      writeFileSync(path, text);
    }
    const environment = { ...input.environment, ...command.environment };
    const child = new Child(
      name,
      { program: command.program, argv: command.argv, environment, directory: input.directory },
      input.label ? this.#relabel(runs, command, number) : undefined,
      this.outputs,
    );
    this.#children.push(child);
    const { pid } = child;
    if (pid !== undefined) {
      this.#guard.tell({ started: pid, name });
      const ended = (): void => this.#guard.tell({ ended: pid });
      child.ended.then(ended, ended);
    }
    return child;
  }

  /** From what the launcher puts before a line to the name of the part and the number of its rank. */
  #relabel(runs: readonly RankRun[], command: LaunchCommand, number: number): Relabel {
    const { labelled } = command;
    if (labelled === undefined) {
      const label = labelOfRank(runs, number) ?? runs[0]?.part.name ?? "weftline";
      return (line) => `${label}: ${line}`;
    }
    return (line) => {
      const [, rank, text = ""] = labelled.exec(line) ?? [];
      const label = rank === undefined ? undefined : labelOfRank(runs, Number(rank));
      return label === undefined ? line : `${label}: ${text}`;
    };
  }

  #onSignal(signal: StopSignal): void {
    const { plan } = this.prepared;
    if (this.#drain !== undefined) {
      if (signal === "SIGUSR1" || performance.now() - this.#drainingSinceMs < SAME_WISH_MS) return;
      this.#isCutShort = true;
      this.outputs.say(`${signal} again: everything is ended at once`);
      for (const child of this.#children) void child.end(0);
      return;
    }
    const isFirst = this.#stopSignal === undefined;
    this.#stopSignal ??= signal;
    if (signal !== "SIGUSR1" || plan.warningMs === 0) {
      this.#stopSignal = signal;
      this.#beginDrain(signal);
    } else if (isFirst) {
      this.#warningTimer = setTimeout(() => this.#beginDrain("the time after the warning is over"), plan.warningMs);
      void this.#passOnWarning();
    }
  }

  /**
   * Once the servers are there: until a rank's own program runs, SIGUSR1 is Node's, and lost. Servers are there when every rank
   * of the world has come to its MPI_Init.
   */
  async #passOnWarning(): Promise<void> {
    const { plan } = this.prepared;
    if (this.#world !== undefined) {
      const there = (): true | undefined => this.#areServersThere();
      await whenInDirectory(plan.group, there, plan.warningMs, this.#ended.signal);
    }
    if (this.#ended.signal.aborted || this.#drain !== undefined) return;
    this.outputs.say(`SIGUSR1: passed on; the application has ${formatTime(plan.warningMs)} to end by itself`);
    for (const child of this.#children) child.signal("SIGUSR1");
  }

  #beginDrain(why: string): void {
    clearTimeout(this.#warningTimer);
    if (this.#drain === undefined) this.#drainingSinceMs = performance.now();
    this.#drain ??= this.#drainServers(why).catch((error: unknown) => {
      this.outputs.say(`the drain failed: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    });
  }

  /** True: every server has drained and gone. */
  async #drainServers(why: string): Promise<boolean> {
    const { plan, map } = this.prepared;
    const present = (): number[] => presentSlots(plan.group, map.slotCount, this.#before);
    let drained = true;
    if (this.#world && !this.#world.hasEnded && present().length > 0) {
      this.outputs.say(`${why}: the servers drain, for at most ${formatTime(plan.drainMs)}`);
      const asking = this.#start("weftline stop", this.#stopCommand(), []);
      const unasked = new AbortController();
      void asking.ended.then(
        ({ exitCode }) => exitCode !== 0 && unasked.abort(),
        () => unasked.abort(),
      );
      const gone = await whenInDirectory(
        plan.group,
        () => (present().length === 0 ? true : undefined),
        plan.drainMs + DRAIN_GRACE_MS,
        AbortSignal.any([this.#ended.signal, unasked.signal]),
      );
      await asking.end(PATIENCE_MS);
      drained = gone === true || present().length === 0;
      if (!drained)
        this.outputs.say(`slots ${present().join(", ")} have not drained in time; their logs go on where they are`);
    } else {
      this.outputs.say(`${why}: the launch is ended`);
    }
    await this.#endAll();
    return drained;
  }

  #stopCommand(): LaunchCommand {
    const { input, plan, launcher, site, map } = this.prepared;
    const words = [...input.weftline, "stop", "--group", plan.group, "--timeout", `${Math.max(1000, plan.drainMs)}ms`];
    const [program = "", ...argv] = words;
    const direct = { program, argv, environment: {}, files: [] };
    // Where a network card lets in only what the launcher started, so does the request.
    const [first] = map.world;
    if (launcher === undefined || (site.config.nics ?? []).length === 0 || first === undefined) return direct;
    const part = { ...first.part, name: "stop", command: words, environment: {} };
    return besideCommands(this.prepared, [{ ...first, part, firstRank: 0, firstOfPart: 0, count: 1 }])[0] ?? direct;
  }

  async #endAll(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end(PATIENCE_MS)));
  }

  async #stage(direction: "in" | "out"): Promise<void> {
    const { plan, map } = this.prepared;
    const commands = stageCommands(this.prepared, direction);
    if (commands.length === 0) return;
    if (direction === "out" && plan.stageOut !== undefined) writeStageSummary(plan.stageOut, map.slotCount);
    const children = commands.map((command) => this.#start(`stage ${direction}`, command, []));
    const codes = await Promise.all(children.map(async (child) => (await child.ended).exitCode));
    const bad = codes.findIndex((code) => code !== 0);
    if (bad < 0) {
      if (direction === "out") this.outputs.say(`staged out to ${plan.stageOut ?? ""}`);
      return;
    }
    if (direction === "in") {
      throw new WeftError(
        "WEFT_IO",
        `staging in from ${plan.stageIn ?? ""} failed (status ${codes[bad]}); nothing was started`,
        { next: "see what it says above; the same launch again goes on where it stopped" },
      );
    }
    throw new WeftError(
      "WEFT_IO",
      `staging out to ${plan.stageOut ?? ""} failed (status ${codes[bad]}); the data is where it was, in ${plan.data}`,
      {
        next: `see what it says above; this goes on where it stopped, for each server where its data is: ${stageOutWords(plan)}`,
      },
    );
  }
}
