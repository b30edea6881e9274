/**
 * One scenario on one topic, in one rank: opens what the role needs, warms up, and goes through the measured phases in
 * step with all other ranks. Every rank makes the same collectives in the same order, programs in C too: barrier, phase,
 * gather of `phaseNumbers` doubles a rank (native/bench/c_driver.cc).
 */
import type { Communicator } from "weftline";

import { type Scenario, countsByPartition, partitionsOfConsumer } from "../suite/scenario.js";
import { type Percentiles, percentiles } from "../suite/statistics.js";
import { type CommonClock, gather, localUs } from "./clock.js";
import { storedMetadataBytes } from "./payload.js";
import type { BenchConsumer, BenchProducer, Received, System, Topic } from "./system.js";
import { tick } from "./ticker.js";

export type RankRole = "server" | "producer" | "consumer";

export interface PhaseResult {
  readonly topic: string;
  readonly phase: "produce" | "consume" | "both" | "acknowledged" | "delivered";
  readonly seconds: number;
  readonly events: number;
  readonly bytes: number;
  /** Of all ranks, and of a peer's server where it can be seen; null where not. */
  readonly cpuSeconds: number | null;
  readonly latencyUs: Percentiles | null;
}

/** Begin and end (microseconds of the common clock, 0: took no part), events, bytes, CPU seconds, sum of steps. */
const phaseNumbers = 6;

/** What one rank did in a phase. */
interface Part {
  beginUs: number;
  endUs: number;
  events: number;
  bytes: number;
  steps: number;
  /** Latencies, if that is what is measured. */
  samples?: number[];
}
const noPart: Part = { beginUs: 0, endUs: 0, events: 0, bytes: 0, steps: 0 };

export interface RunContext {
  readonly world: Communicator;
  readonly role: RankRole;
  readonly roleRank: number;
  readonly clock: CommonClock;
  readonly system: System | undefined;
  readonly topic: Topic;
}

export class TopicRun {
  readonly #context: RunContext;
  readonly #scenario: Scenario;
  #producer: BenchProducer | undefined;

  constructor(context: RunContext) {
    this.#context = context;
    this.#scenario = context.topic.scenario;
  }

  /** The results, on rank 0; others get none. Collective. */
  async measure(): Promise<PhaseResult[]> {
    const { world, role, system, topic } = this.#context;
    if (world.rank === 0) await system?.createTopic(topic);
    await world.barrier();
    if (role === "producer") this.#producer = await system?.producer(topic);
    const separate = this.#scenario.mode === "separate";
    const results = separate ? await this.#separate() : await this.#together();
    await this.#producer?.close();
    await world.barrier();
    if (world.rank === 0) await system?.removeTopic(topic);
    return results;
  }

  async #separate(): Promise<PhaseResult[]> {
    const { warmUpEvents } = this.#scenario;
    await this.#context.world.barrier();
    await this.#produce(0, warmUpEvents);
    await this.#context.world.barrier();
    const warm = await this.#openConsumer();
    if (warm !== undefined) {
      await warm.start(0);
      await warm.receive(this.#eventsOfConsumer(0, warmUpEvents));
      await warm.close();
    }
    const consumer = await this.#openConsumer();
    const produced = await this.#phase("produce", () => this.#produce(warmUpEvents, this.#eventsOfProducer()));
    const consumed = await this.#phase("consume", async () => {
      if (consumer === undefined) return noPart;
      const beginUs = this.#context.clock.nowUs();
      await consumer.start(this.#offsetAfterWarmUp());
      return await this.#receive(consumer, beginUs, warmUpEvents, this.#eventsOfProducer());
    });
    await consumer?.close();
    return [...produced, ...consumed];
  }

  /** Producers and consumers at the same time; the warm-up as well. */
  async #together(): Promise<PhaseResult[]> {
    const { warmUpEvents, mode } = this.#scenario;
    const { world, clock } = this.#context;
    const consumer = await this.#openConsumer();
    await consumer?.start(0);
    await world.barrier();
    await Promise.all([this.#produce(0, warmUpEvents), consumer?.receive(this.#eventsOfConsumer(0, warmUpEvents))]);
    const each = this.#eventsOfProducer();
    const results =
      mode === "both"
        ? await this.#phase("both", async () => {
            if (consumer === undefined) return await this.#produce(warmUpEvents, each);
            return await this.#receive(consumer, clock.nowUs(), warmUpEvents, each);
          })
        : await this.#phase("acknowledged", async () => {
            if (consumer === undefined) return await this.#arrivals(warmUpEvents, each);
            return await this.#deliveries(consumer, warmUpEvents, each);
          });
    await consumer?.close();
    return results;
  }

  async #openConsumer(): Promise<BenchConsumer | undefined> {
    const { role, roleRank, system, topic } = this.#context;
    return role === "consumer" ? await system?.consumer(topic, roleRank) : undefined;
  }

  async #produce(first: number, count: number): Promise<Part> {
    const producer = this.#producer;
    if (producer === undefined) return noPart;
    const { clock } = this.#context;
    const beginUs = clock.nowUs();
    await producer.send(first, count);
    return { ...this.#sent(first, count), beginUs, endUs: clock.nowUs() };
  }

  /** At a fixed load, whatever becomes of the events before. */
  async #arrivals(first: number, count: number): Promise<Part> {
    const producer = this.#producer;
    if (producer === undefined) return noPart;
    const { clock } = this.#context;
    const { load, producers } = this.#scenario;
    const samples: number[] = [];
    const beginUs = localUs() + 1000;
    await new Promise<void>((resolve, reject) => {
      tick(beginUs, (1e6 * producers) / load, count, (index, dueUs) => {
        producer.sendOne(first + index, dueUs + clock.offsetUs, () => {
          samples.push(localUs() - dueUs);
          if (samples.length === count) resolve();
        });
      }).catch(reject);
    });
    return { ...this.#sent(first, count), beginUs: beginUs + clock.offsetUs, endUs: clock.nowUs(), samples };
  }

  async #receive(consumer: BenchConsumer, beginUs: number, first: number, count: number): Promise<Part> {
    const received = await consumer.receive(this.#eventsOfConsumer(first, count));
    return { ...partOf(received), beginUs, endUs: this.#context.clock.nowUs() };
  }

  async #deliveries(consumer: BenchConsumer, first: number, count: number): Promise<Part> {
    const { clock } = this.#context;
    const samples: number[] = [];
    const beginUs = clock.nowUs();
    const received = await consumer.receive(this.#eventsOfConsumer(first, count), (dueUs) => {
      samples.push(clock.nowUs() - dueUs);
    });
    return { ...partOf(received), beginUs, endUs: clock.nowUs(), samples };
  }

  /** Runs a part in step with all others and joins what they say. Collective. */
  async #phase(phase: PhaseResult["phase"], work: () => Promise<Part>): Promise<PhaseResult[]> {
    const { world, system, role } = this.#context;
    await world.barrier();
    const cpu = process.cpuUsage();
    const serverBefore = world.rank === 0 ? system?.serverCpuSeconds() : 0;
    const part = await work();
    await world.barrier();
    const used = process.cpuUsage(cpu);
    const serverAfter = world.rank === 0 ? system?.serverCpuSeconds() : 0;
    const isPeer = world.rank === 0 && system !== undefined;
    const ofServer = isPeer ? (serverAfter ?? NaN) - (serverBefore ?? NaN) : 0;
    const cpuSeconds = (used.user + used.system) / 1e6 + ofServer;
    const numbers = [part.beginUs, part.endUs, part.events, part.bytes, cpuSeconds, part.steps];
    if (numbers.length !== phaseNumbers) throw new Error("a phase has other numbers than it should");
    const all = await gather(world, numbers);
    const roles = (await gather(world, [role === "server" ? 0 : role === "producer" ? 1 : 2])).map(([one]) => one);
    const producers = all.filter((_, rank) => roles[rank] === 1);
    const consumers = all.filter((_, rank) => roles[rank] === 2);
    const cpuAll = sum(all, 4);
    if (phase !== "produce") this.#check(consumers);
    const join = (name: PhaseResult["phase"], counted: number[][], samples?: number[]): PhaseResult => ({
      ...{ topic: this.#context.topic.name, phase: name, seconds: secondsOf(phase === "both" ? all : counted) },
      ...{ events: sum(counted, 2), bytes: sum(counted, 3) },
      cpuSeconds: Number.isNaN(cpuAll) ? null : cpuAll,
      latencyUs: samples === undefined ? null : percentiles(samples),
    });
    if (phase !== "acknowledged") return [join(phase, phase === "produce" ? producers : consumers)];
    const samples = await gatherSamples(world, part.samples ?? []);
    const ofRole = (wanted: number): number[] => samples.filter((_, rank) => roles[rank] === wanted).flat();
    return [join("acknowledged", producers, ofRole(1)), join("delivered", consumers, ofRole(2))];
  }

  /** All that was sent was received, once. */
  #check(consumers: readonly number[][]): void {
    const { warmUpEvents, producers } = this.#scenario;
    const each = this.#eventsOfProducer();
    const expected = producers * (each * warmUpEvents + (each * (each - 1)) / 2);
    const events = sum(consumers, 2);
    const steps = sum(consumers, 5);
    if (events !== each * producers || steps !== expected) {
      throw new Error(
        `${this.#context.topic.name}: ${events} events with numbers of ${steps} came, not ${each * producers} of ${expected}`,
      );
    }
  }

  #eventsOfProducer(): number {
    return this.#scenario.events / this.#scenario.producers;
  }
  #eventsOfConsumer(first: number, count: number): number {
    const { producers } = this.#scenario;
    const counts = countsByPartition(this.#scenario, first, count);
    const mine = partitionsOfConsumer(this.#scenario, this.#context.roleRank);
    return producers * mine.reduce((total, partition) => total + (counts[partition] ?? 0), 0);
  }
  #offsetAfterWarmUp(): number {
    const { warmUpEvents, producers, partitions } = this.#scenario;
    return (producers * warmUpEvents) / partitions;
  }
  #sent(first: number, count: number): Pick<Part, "events" | "bytes" | "steps"> {
    const bytes = storedMetadataBytes(this.#scenario) + this.#scenario.dataBytes;
    return { events: count, bytes: count * bytes, steps: first };
  }
}

function partOf({ events, bytes, steps }: Received): Pick<Part, "events" | "bytes" | "steps"> {
  return { events, bytes, steps };
}

function sum(parts: readonly number[][], index: number): number {
  return parts.reduce((total, part) => total + (part[index] ?? 0), 0);
}

/** From the first begin to the last end of those who took part. */
function secondsOf(parts: readonly number[][]): number {
  const took = parts.filter(([, end]) => end !== 0);
  const begin = Math.min(...took.map(([first = NaN]) => first));
  const end = Math.max(...took.map(([, last = NaN]) => last));
  return (end - begin) / 1e6;
}

async function gatherSamples(world: Communicator, samples: readonly number[]): Promise<number[][]> {
  const lengths = (await gather(world, [samples.length])).map(([length = 0]) => length);
  const padded = new Array<number>(Math.max(1, ...lengths)).fill(0);
  samples.forEach((sample, index) => (padded[index] = sample));
  const all = await gather(world, padded);
  return all.map((one, rank) => one.slice(0, lengths[rank]));
}
