/**
 * One scenario: all systems take turns (A B C A B C …), each run right beside those it is compared with. A system that
 * fails is left out from then on, and the failure is named in the results.
 */
import { execFile } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import { KafkaSystem } from "../driver/kafka-system.js";
import type { PhaseResult } from "../driver/topic-run.js";
import * as tools from "../peers/kafka/perf-tools.js";
import { natsPayloadBytesMax } from "../peers/nats/server.js";
import { Lab } from "./lab.js";
import { fileLimit, mpiLimit, rmaLimit, roundTripLimit } from "./limits.js";
import type { Peers } from "./peers.js";
import type { Sample, Series } from "./rows.js";
import { storedMetadataBytes } from "../driver/payload.js";
import { type Scenario, shortened } from "./scenario.js";
import { World, cClientsCan } from "./world.js";

export interface Failure {
  readonly scenario: string;
  readonly system: string;
  readonly reason: string;
}

export interface RunnerOptions {
  readonly directory: string;
  readonly runs: number;
  /** That the scenarios were made with. */
  readonly scale: number;
  /** "weftline", "weftline-c", "kafka", "kafka-tools", "nats", "limit". */
  readonly systems: ReadonlySet<string>;
  readonly peers: Peers;
  readonly say: (text: string) => void;
}

interface Measured {
  readonly phase: string;
  readonly sample: Sample;
}

/** One system in one scenario. */
interface Contestant {
  readonly system: string;
  readonly client: string;
  readonly durability: string;
  readonly fabric: string;
  run(run: number): Promise<Measured[]>;
  end(isDone: boolean): Promise<void>;
}

/** NATS takes an acknowledgement for each event: all of them would take longer than all else together. */
const natsScale = 0.25;
const natsEventsMax = 20_000;

const nothingToEnd = async (): Promise<void> => Promise.resolve();

function sampleOf({ seconds, events, bytes, cpuSeconds, latencyUs }: PhaseResult): Sample {
  const cpu = cpuSeconds === null ? null : (cpuSeconds / events) * 1e6;
  return {
    ...{ eventsPerSecond: events / seconds, bytesPerSecond: bytes / seconds, latencyUs },
    cpuSecondsPerMillionEvents: cpu,
  };
}

type Rate = Pick<Sample, "eventsPerSecond" | "cpuSecondsPerMillionEvents"> & Partial<Pick<Sample, "latencyUs">>;

function rateSample(rate: Rate, scenario: Scenario): Sample {
  const bytesPerSecond = rate.eventsPerSecond * (storedMetadataBytes(scenario) + scenario.dataBytes);
  return { latencyUs: null, ...rate, bytesPerSecond };
}

export class ScenarioRunner {
  readonly #scenario: Scenario;
  readonly #options: RunnerOptions;
  readonly #directory: string;
  readonly #series = new Map<string, Series>();
  readonly failures: Failure[] = [];
  #lab: Lab | undefined;

  constructor(scenario: Scenario, options: RunnerOptions) {
    this.#scenario = scenario;
    this.#options = options;
    this.#directory = path.join(options.directory, scenario.name);
  }

  async measure(): Promise<Series[]> {
    mkdirSync(this.#directory, { recursive: true });
    let contestants: Set<Contestant>;
    try {
      if (this.#scenario.hosts > 1) this.#lab = new Lab(path.join(this.#directory, "lab"));
      contestants = new Set(this.#contestants());
    } catch (error) {
      this.#fail("weftline", (error as Error).message);
      this.#lab?.down();
      return [];
    }
    try {
      for (let run = 0; run < this.#options.runs; run++) {
        for (const one of contestants) {
          await promisify(execFile)("sync", ["--file-system", this.#directory]);
          try {
            for (const { phase, sample } of await one.run(run)) this.#keep(one, phase, run, sample);
          } catch (error) {
            this.#fail(`${one.system}/${one.client}`, (error as Error).message);
            contestants.delete(one);
            await one.end(false);
          }
        }
      }
    } finally {
      await Promise.all([...contestants].map((one) => one.end(true)));
      this.#lab?.down();
      rmSync(this.#directory, { recursive: true, force: true });
    }
    return [...this.#series.values()];
  }

  #fail(system: string, reason: string): void {
    this.failures.push({ scenario: this.#scenario.name, system, reason: reason.slice(0, 2000) });
    this.#options.say(`${this.#scenario.name}: ${system} is missing: ${reason.slice(0, 300)}`);
  }

  /** A scenario of two phases has two names: "base/produce" and "base/consume". */
  #keep({ system, client, durability, fabric }: Contestant, phase: string, run: number, sample: Sample): void {
    const { name, factor, storage, mode } = this.#scenario;
    const scenario = `${name}/${phase}`;
    const key = `${scenario} ${system} ${client}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      const isLatency = mode === "latency";
      const doesLess = client === "perf-tools" && phase === "consume";
      series = { scenario, factor, system, client, storage, durability, fabric, isLatency, doesLess, samples: [] };
      this.#series.set(key, series);
    }
    series.samples[run] = sample;
  }

  #contestants(): Contestant[] {
    const { systems } = this.#options;
    const list: Contestant[] = [];
    if (systems.has("weftline")) list.push(this.#weftline());
    if (systems.has("weftline-c") && cClientsCan(this.#scenario)) list.push(this.#weftline(true));
    if (this.#lab !== undefined) {
      // Their servers, and the other half of each limit, would have to be on another host than their clients.
      for (const name of systems) {
        if (!name.startsWith("weftline")) this.#fail(name, "is not measured over two hosts of one machine");
      }
      return list;
    }
    list.push(...this.#peers());
    if (systems.has("limit")) list.push(...this.#limits());
    return list;
  }

  #weftline(inC = false): Contestant {
    const { durability, transport } = this.#scenario;
    const world = this.#world({ name: "weftline" }, inC);
    return { system: "weftline", client: inC ? "c" : "typescript", durability, fabric: transport, ...world };
  }

  #world(plan: ConstructorParameters<typeof World>[0], inC = false): Pick<Contestant, "run" | "end"> {
    const { runs, scale } = this.#options;
    const shorter = scale * Math.min(natsScale, natsEventsMax / this.#scenario.events);
    const scenario = plan.name === "nats" ? shortened(this.#scenario, shorter) : this.#scenario;
    const name = this.#scenario.name;
    const folder = path.join(this.#directory, inC ? `${plan.name}-c` : plan.name);
    const world = new World(plan, scenario, runs, folder, name, {
      inC,
      ...(this.#lab === undefined ? {} : { launcher: this.#lab.launcher(this.#scenario) }),
    });
    return {
      run: async (run) => (await world.turn(run)).map((phase) => ({ phase: phase.phase, sample: sampleOf(phase) })),
      end: (isDone) => world.end(isDone),
    };
  }

  #peers(): Contestant[] {
    const { systems, peers } = this.#options;
    const scenario = this.#scenario;
    // A page cache keeps more than a server's memory: the weakest that these peers have
    const durability = scenario.durability === "synced" ? "synced" : "written";
    const list: Contestant[] = [];
    for (const one of peers.plans) {
      let plan = one;
      if (!systems.has(plan.name)) continue;
      if (plan.name === "nats") {
        const bytes = storedMetadataBytes(scenario) + scenario.dataBytes;
        if (bytes > natsPayloadBytesMax) {
          this.#fail("nats", `an event of ${bytes} bytes is larger than its server allows (${natsPayloadBytesMax})`);
          continue;
        }
        if (durability === "synced") {
          if (peers.natsSynced === undefined) {
            this.#fail("nats", `version ${peers.versions["nats"] ?? ""} cannot sync each message; 2.10 can`);
            continue;
          }
          plan = peers.natsSynced;
        }
      }
      list.push({ system: plan.name, client: "node", durability, fabric: "tcp", ...this.#world(plan) });
    }
    const { kafka } = peers;
    const kafkaPlan = peers.plans.find(({ name }) => name === "kafka");
    if (systems.has("kafka-tools") && kafka !== undefined && kafkaPlan !== undefined && tools.toolsCan(scenario)) {
      const run = async (number: number): Promise<Measured[]> => {
        const system = new KafkaSystem(kafkaPlan);
        const topic = { name: `${scenario.name}-tools-${number}`, scenario };
        await system.createTopic(topic);
        const produced = await tools.produce(kafka, topic.name, scenario);
        const measured: Measured[] = [];
        if (scenario.mode === "latency") {
          measured.push({ phase: "acknowledged", sample: rateSample(produced, scenario) });
        } else {
          measured.push({ phase: "produce", sample: { ...rateSample(produced, scenario), latencyUs: null } });
          const consumed = await tools.consume(kafka, topic.name, scenario);
          measured.push({ phase: "consume", sample: rateSample(consumed, scenario) });
        }
        await system.removeTopic(topic);
        return measured;
      };
      list.push({ system: "kafka", client: "perf-tools", durability, fabric: "tcp", run, end: nothingToEnd });
    }
    return list;
  }

  #limits(): Contestant[] {
    const scenario = this.#scenario;
    const { durability, transport, mode, storage } = scenario;
    const phases = mode === "separate" ? ["produce", "consume"] : [mode === "both" ? "both" : "acknowledged"];
    const limit = (
      client: string,
      applies: readonly string[],
      measure: () => Promise<Sample>,
      fabric: string = transport,
    ): Contestant => ({
      ...{ system: "limit", client, durability, fabric, end: nothingToEnd },
      run: async () => {
        const sample = await measure();
        return applies.map((phase) => ({ phase, sample }));
      },
    });
    if (mode === "latency") {
      const roundTrip = async (): Promise<Sample> => {
        const { us, cpuUs } = await roundTripLimit(scenario);
        const sample = rateSample({ eventsPerSecond: scenario.load, cpuSecondsPerMillionEvents: cpuUs }, scenario);
        return { ...sample, latencyUs: { p50: us, p99: NaN, p999: NaN } };
      };
      return [limit("round-trip", phases, roundTrip)];
    }
    const written = phases.filter((phase) => phase !== "consume");
    const list = [
      limit("rma", phases, async () => rateSample(await rmaLimit(scenario), scenario)),
      limit("mpi", phases, async () => rateSample(await mpiLimit(scenario), scenario), "mpi"),
    ];
    if (storage === "disk") {
      list.push(
        limit("file", written, async () => rateSample(await fileLimit(scenario, this.#directory), scenario), "none"),
      );
    }
    return list;
  }
}
