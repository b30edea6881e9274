// Commands on topics and on the server itself.
import { expect } from "vitest";
import fc from "fast-check";

import { errorOf, type Place } from "../support.js";
import { closeConsumer, closeProducer } from "./close.js";
import type { ConsumerModel } from "./consumer-model.js";
import { type TopicKind, TopicModel, configOf, topicKind } from "./topic-model.js";
import { type Command, type World, pick, shown, which } from "./world.js";

const topicsMax = 4;

class CreateTopic implements Command {
  constructor(readonly kind: TopicKind) {}
  check = (world: World): boolean => world.topics.length < topicsMax;
  async run(world: World, place: Place): Promise<void> {
    const name = world.freshName();
    const config = configOf(this.kind, world.module);
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.topic(name));
    const handle = await place.job.createTopic(name, config);
    expect(handle.partitionCount).toBe(this.kind.partitions);
    expect(handle.description.storage).toBe(this.kind.storage);
    await errorOf("WEFT_TOPIC_EXISTS", () => place.job.createTopic(name, config));
    expect((await place.job.createTopic(name, config, { ifExists: "open" })).description.uuid).toBe(
      handle.description.uuid,
    );
    world.topics.push(new TopicModel(name, this.kind, handle));
  }
  toString = (): string => `createTopic(${shown(this.kind)})`;
}

class AddPartitions implements Command {
  constructor(
    readonly topic: number,
    readonly more: number,
  ) {}
  check = (world: World): boolean => world.topics.length > 0;
  async run(world: World, place: Place): Promise<void> {
    const topic = pick(world.topics, this.topic);
    const { partitions } = topic;
    const count = Math.min(6, partitions.length + this.more);
    await world.settle(topic);
    const alter = { partitions: count };
    await errorOf("WEFT_CONFIG_INVALID", () => place.job.alterTopic(topic.name, { partitions: partitions.length - 1 }));
    if (topic.sealed && count > partitions.length) {
      await errorOf("WEFT_CONFIG_INVALID", () => place.job.alterTopic(topic.name, alter));
      return;
    }
    expect((await place.job.alterTopic(topic.name, alter)).partitions).toBe(count);
    while (partitions.length < count) partitions.push([]);
    topic.handle = await place.job.topic(topic.name);
    expect(topic.handle.partitionCount).toBe(count);
  }
  toString = (): string => `addPartitions(${shown(this.topic, this.more)})`;
}

class Seal implements Command {
  constructor(readonly topic: number) {}
  check = (world: World): boolean => world.topics.length > 0;
  async run(world: World, place: Place): Promise<void> {
    const topic = pick(world.topics, this.topic);
    await world.settle(topic);
    expect((await place.job.sealTopic(topic.name)).sealed).toBe(true);
    topic.sealed = true;
    for (const producer of world.producers) if (producer.topic === topic) producer.dead ??= "WEFT_TOPIC_SEALED";
  }
  toString = (): string => `seal(${shown(this.topic)})`;
}

/** Until it fails, or ends: what was sent ahead is handed out before. */
async function pullOn({ handle }: ConsumerModel): Promise<void> {
  for (let pulls = 0; pulls < 1000; pulls++) {
    if ((await handle.pull({ timeoutMs: 30_000 })).length === 0) return;
  }
}

class Delete implements Command {
  constructor(readonly topic: number) {}
  check = (world: World): boolean => world.topics.length > 0;
  async run(world: World, place: Place): Promise<void> {
    const topic = pick(world.topics, this.topic);
    await world.settle(topic);
    await place.job.deleteTopic(topic.name);
    topic.deleted = true;
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.describeTopic(topic.name));
    for (const consumer of world.consumers.filter((one) => one.topic === topic)) {
      const wantsMore = [...consumer.partitions].some(([partition, { limit }]) => limit > topic.countOf(partition));
      if (!topic.sealed && wantsMore) await errorOf("WEFT_TOPIC_UNKNOWN", () => pullOn(consumer));
      await closeConsumer(world, consumer);
    }
    for (const producer of world.producers.filter((one) => one.topic === topic)) await closeProducer(world, producer);
    world.topics = world.topics.filter((one) => one !== topic);
  }
  toString = (): string => `delete(${shown(this.topic)})`;
}

/** What each partition has, as its server says. */
class Look implements Command {
  constructor(readonly topic: number) {}
  check = (world: World): boolean => world.topics.length > 0;
  async run(world: World, place: Place): Promise<void> {
    const topic = pick(world.topics, this.topic);
    await world.settle(topic);
    const names = (await place.job.listTopics()).map(({ name }) => name);
    for (const { name } of world.topics) expect(names).toContain(name);
    for (const [partition, events] of topic.partitions.entries()) {
      const { firstOffset, visibleEnd } = await topic.handle.partition(partition);
      expect([partition, firstOffset, visibleEnd]).toEqual([partition, 0, events.length]);
    }
    expect((await place.job.describeTopic(topic.name)).sealed ?? false).toBe(topic.sealed);
  }
  toString = (): string => `look(${shown(this.topic)})`;
}

class Restart implements Command {
  check = (): boolean => true;
  async run(world: World, place: Place): Promise<void> {
    for (const topic of world.topics) await world.settle(topic);
    // Closing the job closes them, too; here each is looked at.
    for (const consumer of [...world.consumers]) await closeConsumer(world, consumer);
    for (const producer of [...world.producers]) await closeProducer(world, producer);
    await place.restart();
    for (const topic of world.topics) {
      topic.restarted();
      topic.handle = await place.job.topic(topic.name);
    }
  }
  toString = (): string => "restart()";
}

export const createTopic = topicKind.map((kind) => new CreateTopic(kind));
export const topicCommands = {
  addPartitions: fc.tuple(which, fc.integer({ min: 0, max: 2 })).map(([topic, more]) => new AddPartitions(topic, more)),
  seal: which.map((topic) => new Seal(topic)),
  delete: which.map((topic) => new Delete(topic)),
  look: which.map((topic) => new Look(topic)),
  restart: fc.constant(undefined).map(() => new Restart()),
};
