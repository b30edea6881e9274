// Commands on consumers: opening, reading in every way, fetching, acknowledging, committing, seeking, closing.
import { expect } from "vitest";
import fc from "fast-check";

import { type ErrorCode, type Event, type Region, type SeekTo, range } from "../../../src/index.js";
import { type Place, errorOf } from "../support.js";
import { checkCommitted, closeConsumer } from "./close.js";
import {
  type Begin,
  type ConsumerKind,
  ConsumerModel,
  begin,
  consumerKind,
  consumerOptions,
  partitionsOf,
  startOf,
} from "./consumer-model.js";
import { type Recipe, dataRecipe, expectedOf, selectionOf } from "./selections.js";
import { type Command, type World, pick, shown, which } from "./world.js";

const consumersMax = 4;
/** For what must come at all. */
const patienceMs = 30_000;

class OpenConsumer implements Command {
  constructor(
    readonly topic: number,
    readonly kind: ConsumerKind,
  ) {}
  check = (world: World): boolean => world.topics.length > 0 && world.consumers.length < consumersMax;
  async run(world: World, place: Place): Promise<void> {
    const topic = pick(world.topics, this.topic);
    const { kind } = this;
    // Two of one name would each make their own position that of the name.
    if (kind.name !== undefined && world.consumers.some((one) => one.topic === topic && one.kind.name === kind.name))
      return;
    await world.settle(topic);
    const regions: Region[] = [];
    const handle = topic.handle.consumer(consumerOptions(topic, kind, place.job, regions));
    const beyond = partitionsOf(topic, kind).some(
      (partition) => startOf(topic, kind, partition) > topic.countOf(partition),
    );
    if (beyond) {
      await errorOf("WEFT_TRUNCATED", () => handle.open());
      await handle.close();
      return;
    }
    await handle.open();
    world.consumers.push(new ConsumerModel(topic, kind, handle, regions));
  }
  toString = (): string => `openConsumer(${shown(this.topic, this.kind)})`;
}

/** Reads up to so many of the events that there are, with `pull`, and finds that there are no others. */
class Pull implements Command {
  constructor(
    readonly consumer: number,
    readonly max: number,
    readonly isAtOnce: boolean,
  ) {}
  check = (world: World): boolean => world.consumers.length > 0;
  async run(world: World): Promise<void> {
    const consumer = pick(world.consumers, this.consumer);
    const { handle, topic } = consumer;
    await world.settle(topic);
    const earlier = consumer.handed.at(-1);
    let wanted = Math.min(this.max, consumer.left);
    const endMs = Date.now() + patienceMs;
    while (wanted > 0) {
      const events = await handle.pull({ max: wanted, timeoutMs: this.isAtOnce ? 0 : patienceMs });
      for (const event of events) consumer.take(event);
      wanted -= events.length;
      if (Date.now() > endMs) throw new Error(`${wanted} events did not come within ${patienceMs} ms`);
      if (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (earlier !== undefined) checkEarlier(consumer, earlier);
    if (consumer.left > 0) return;
    if (!consumer.isOver) {
      expect(await handle.pull({ timeoutMs: 2 })).toEqual([]);
      expect(handle.ended).toBe(false);
      return;
    }
    expect(await handle.pull({ timeoutMs: patienceMs })).toEqual([]);
    expect(handle.ended).toBe(true);
  }
  toString = (): string => `pull(${shown(this.consumer, this.max, this.isAtOnce)})`;
}

/** Of an event from before the last pull: its data is as it was, or released. */
function checkEarlier(consumer: ConsumerModel, event: Event): void {
  try {
    consumer.checkData(event);
  } catch {
    let code: unknown;
    try {
      code = event.data.byteLength;
    } catch (error) {
      code = (error as { code?: unknown }).code;
    }
    expect(code).toBe("WEFT_CLOSED");
  }
}

/** The same with `for await`, left by `break`. */
class Iterate implements Command {
  constructor(
    readonly consumer: number,
    readonly max: number,
    readonly acknowledges: boolean,
  ) {}
  check = (world: World): boolean => world.consumers.length > 0;
  async run(world: World): Promise<void> {
    const consumer = pick(world.consumers, this.consumer);
    await world.settle(consumer.topic);
    let wanted = Math.min(this.max, consumer.left);
    if (wanted === 0) return;
    for await (const event of consumer.handle) {
      consumer.take(event);
      if (this.acknowledges) consumer.acknowledge(event);
      if (--wanted === 0) break;
    }
    expect(wanted).toBe(0);
  }
  toString = (): string => `iterate(${shown(this.consumer, this.max, this.acknowledges)})`;
}

/** A handler for all that is left, which may fail once. */
class Run implements Command {
  constructor(
    readonly consumer: number,
    readonly concurrency: number,
    readonly failsAt: number,
  ) {}
  check = (world: World): boolean => world.consumers.length > 0;
  async run(world: World): Promise<void> {
    const consumer = pick(world.consumers, this.consumer);
    await world.settle(consumer.topic);
    const { left } = consumer;
    // Else it would wait for events that nobody pushes.
    if (left === 0 || (!willEnd(consumer) && this.failsAt >= left)) return;
    const handled: Event[] = [];
    let failed: Event | undefined;
    const running = consumer.handle.run(
      async (event) => {
        handled.push(event);
        consumer.take(event);
        if (handled.length - 1 !== this.failsAt) return;
        failed = event;
        await Promise.resolve();
        throw Object.create(null);
      },
      { concurrency: this.concurrency },
    );
    if (this.failsAt < left) {
      const error = await errorOf("WEFT_HANDLER", () => running);
      expect(error.message).toContain(`event ${failed?.partition}:${failed?.offset}`);
      expect(handled.length).toBeLessThanOrEqual(this.failsAt + this.concurrency);
    } else {
      await running;
      expect(handled.length).toBe(left);
    }
    // It has acknowledged them itself; once more is as once.
    for (const event of handled) if (event !== failed) consumer.acknowledge(event);
  }
  toString = (): string => `run(${shown(this.consumer, this.concurrency, this.failsAt)})`;
}

/** Whether everything that it reads ends where what is there now does. */
function willEnd({ topic, partitions }: ConsumerModel): boolean {
  return topic.sealed || [...partitions].every(([partition, { limit }]) => limit <= topic.countOf(partition));
}

class Fetch implements Command {
  constructor(
    readonly consumer: number,
    readonly event: number,
    readonly recipe: Recipe,
  ) {}
  check = (world: World): boolean =>
    world.consumers.length > 0 && pick(world.consumers, this.consumer).handed.length > 0;
  async run(world: World): Promise<void> {
    const { handed, topic } = pick(world.consumers, this.consumer);
    const event = pick(handed, this.event);
    const data = topic.partitions[event.partition]?.[event.offset]?.data ?? new Uint8Array();
    const expected = expectedOf(this.recipe, data);
    const fetch = async (): Promise<Uint8Array> => await event.fetch(selectionOf(this.recipe, data.length));
    if (expected === "skip") throw new Error("nothing is no data");
    if ("code" in expected) await errorOf(expected.code, fetch);
    else expect(Buffer.compare(await fetch(), expected.bytes)).toBe(0);
    await errorOf("WEFT_SELECTION_OUTSIDE", () => event.fetch(range(0, data.length + 1)));
    await errorOf("WEFT_INVALID_ARGUMENT", () => event.fetch(range(0, data.length), { into: "memory" as never }));
    if (data.length === 0) return;
    const into = new Uint8Array(data.length - 1);
    await errorOf("WEFT_INVALID_ARGUMENT", () => event.fetch(range(0, data.length), { into }));
  }
  toString = (): string => `fetch(${shown(this.consumer, this.event, this.recipe)})`;
}

class Acknowledge implements Command {
  constructor(
    readonly consumer: number,
    readonly events: readonly number[],
  ) {}
  check = (world: World): boolean =>
    world.consumers.length > 0 && pick(world.consumers, this.consumer).handed.length > 0;
  run = (world: World): Promise<void> => {
    const consumer = pick(world.consumers, this.consumer);
    // In any order, and some twice.
    for (const event of this.events) consumer.acknowledge(pick(consumer.handed, event));
    return Promise.resolve();
  };
  toString = (): string => `acknowledge(${shown(this.consumer, this.events)})`;
}

class AcknowledgeAll implements Command {
  constructor(readonly consumer: number) {}
  check = (world: World): boolean => world.consumers.length > 0;
  run = (world: World): Promise<void> => {
    const consumer = pick(world.consumers, this.consumer);
    for (const event of consumer.handed) consumer.acknowledge(event);
    return Promise.resolve();
  };
  toString = (): string => `acknowledgeAll(${this.consumer})`;
}

class Commit implements Command {
  constructor(readonly consumer: number) {}
  check = (world: World): boolean => world.consumers.length > 0;
  run = async (world: World): Promise<void> => {
    await commit(world, pick(world.consumers, this.consumer));
  };
  toString = (): string => `commit(${this.consumer})`;
}

async function commit(world: World, consumer: ConsumerModel): Promise<void> {
  const { handle, topic, kind } = consumer;
  await world.settle(topic);
  if (kind.name === undefined) {
    await errorOf("WEFT_INVALID_ARGUMENT", () => handle.commit());
    return;
  }
  for (const { partition, position, visibleEnd, events } of await handle.lag()) {
    const [low, high] = consumer.positionRange(partition);
    expect(position, `position in ${topic.name}/${partition}`).toBeGreaterThanOrEqual(low);
    expect(position, `position in ${topic.name}/${partition}`).toBeLessThanOrEqual(high);
    expect(visibleEnd).toBe(topic.countOf(partition));
    expect(events).toBe(Math.max(0, visibleEnd - position));
  }
  await handle.commit();
  await checkCommitted(consumer, false);
}

class Seek implements Command {
  constructor(
    readonly consumer: number,
    readonly to: Begin | "id" | "time",
    readonly partitions: number,
    readonly offset: number,
  ) {}
  check = (world: World): boolean => world.consumers.length > 0;
  async run(world: World): Promise<void> {
    const consumer = pick(world.consumers, this.consumer);
    const { topic, handle, kind } = consumer;
    const own = [...consumer.partitions.keys()];
    // What it commits by itself is on record before.
    if (kind.name !== undefined && kind.ackEvery !== 0) await commit(world, consumer);
    await world.settle(topic);
    const one = pick(own, this.partitions);
    const target = await this.#target(consumer, one);
    const chosen =
      this.to === "id" || this.to === "time" ? [one] : own.filter((partition) => (this.partitions >> partition) & 1);
    const partitions = chosen.length === 0 ? own : chosen;
    const starts = partitions.map((partition) => target.startIn(partition));
    const options = this.to === "id" || chosen.length === 0 ? {} : { partitions };
    const isBeyond = starts.some((start, index) => start > topic.countOf(partitions[index] ?? 0));
    const code: ErrorCode | undefined = isBeyond ? "WEFT_TRUNCATED" : undefined;
    const seek = (): Promise<void> => handle.seek(target.to, options);
    if (code === undefined) {
      await seek();
      for (const [index, partition] of partitions.entries()) consumer.moveTo(partition, starts[index] ?? 0);
    } else await errorOf(code, seek);
    const foreign = Array.from({ length: topic.handle.partitionCount + 1 }, (_, partition) => partition).find(
      (partition) => !own.includes(partition),
    );
    await errorOf("WEFT_PARTITION_RANGE", () => handle.seek("earliest", { partitions: [foreign ?? -1] }));
  }

  async #target(
    consumer: ConsumerModel,
    partition: number,
  ): Promise<{ to: SeekTo; startIn: (partition: number) => number }> {
    const { topic, kind } = consumer;
    const { to, offset } = this;
    if (to === "id") return { to: { partition, offset }, startIn: () => offset };
    if (to !== "time") return { to, startIn: (of) => startOf(topic, { name: kind.name, from: to }, of) };
    // Another consumer says when each event was appended.
    const times: bigint[] = [];
    await using reader = topic.handle.consumer({ partitions: [partition], from: "earliest", until: "end" });
    for await (const event of reader) times.push(event.appendTimeNs);
    const timeNs = times[offset % Math.max(1, times.length)] ?? 0n;
    const first = times.findIndex((time) => time >= timeNs);
    return { to: { timeNs }, startIn: () => Math.max(0, first) };
  }
  toString = (): string => `seek(${shown(this.consumer, this.to, this.partitions, this.offset)})`;
}

class CloseConsumer implements Command {
  constructor(readonly consumer: number) {}
  check = (world: World): boolean => world.consumers.length > 0;
  async run(world: World): Promise<void> {
    const consumer = pick(world.consumers, this.consumer);
    const { handle, topic } = consumer;
    await world.settle(topic);
    const event = consumer.handed.at(-1);
    await closeConsumer(world, consumer);
    await errorOf("WEFT_CLOSED", () => handle.pull());
    await errorOf("WEFT_CLOSED", () => handle.seek("earliest"));
    if (event !== undefined) {
      await errorOf("WEFT_CLOSED", () => {
        event.ack();
      });
      await errorOf("WEFT_CLOSED", () => event.fetch(range(0, 0)));
    }
    await handle.close();
  }
  toString = (): string => `closeConsumer(${this.consumer})`;
}

export const consumerCommands = {
  open: fc.tuple(which, consumerKind).map(([topic, kind]) => new OpenConsumer(topic, kind)),
  pull: fc
    .tuple(which, fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(1000)), fc.boolean())
    .map(([consumer, max, isAtOnce]) => new Pull(consumer, max, isAtOnce)),
  iterate: fc
    .tuple(which, fc.integer({ min: 1, max: 20 }), fc.boolean())
    .map(([consumer, max, acknowledges]) => new Iterate(consumer, max, acknowledges)),
  run: fc
    .tuple(which, fc.integer({ min: 1, max: 4 }), fc.oneof(fc.nat(10), fc.constant(1e6)))
    .map(([consumer, concurrency, failsAt]) => new Run(consumer, concurrency, failsAt)),
  fetch: fc.tuple(which, which, dataRecipe).map(([consumer, event, recipe]) => new Fetch(consumer, event, recipe)),
  acknowledge: fc
    .tuple(which, fc.array(which, { minLength: 1, maxLength: 15 }))
    .map(([consumer, events]) => new Acknowledge(consumer, events)),
  acknowledgeAll: which.map((consumer) => new AcknowledgeAll(consumer)),
  commit: which.map((consumer) => new Commit(consumer)),
  seek: fc
    .tuple(which, fc.oneof(begin, fc.constantFrom("id" as const, "time" as const)), which, fc.nat(40))
    .map(([consumer, to, partitions, offset]) => new Seek(consumer, to, partitions, offset)),
  close: which.map((consumer) => new CloseConsumer(consumer)),
};
