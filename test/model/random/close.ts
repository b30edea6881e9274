// How producers and consumers end, and what they leave: positions of names are compared with what the next one of the name
// finds.
import { expect } from "vitest";

import type { ConsumerModel } from "./consumer-model.js";
import type { ProducerModel } from "./producer-model.js";
import type { TopicModel } from "./topic-model.js";
import type { World } from "./world.js";

/** Where the next consumer of the name would begin, by partition. */
export async function committedOf({ handle }: TopicModel, name: string): Promise<Map<number, number>> {
  await using reader = handle.consumer({ name, ackEvery: 0, prefetchBytes: 2 * 1024 ** 2 + 64 * 1024 });
  return new Map((await reader.lag()).map(({ partition, position }) => [partition, position]));
}

/** After a commit: each position is where it may be, and is what the model has from now on. */
export async function checkCommitted(consumer: ConsumerModel, isByItself: boolean): Promise<void> {
  const { topic, kind, partitions } = consumer;
  const { name } = kind;
  if (name === undefined) return;
  const durable = topic.cursors.get(name) ?? new Map<number, number>();
  topic.cursors.set(name, durable);
  const found = await committedOf(topic, name);
  for (const [partition, one] of partitions) {
    const position = found.get(partition) ?? -1;
    const [low, high] = consumer.positionRange(partition);
    const isIn = (offset: number): boolean => offset >= low && offset <= high;
    const unmoved = [...one.committed].filter(isIn);
    const mayStay = unmoved.length > 0 || (isByItself && one.isMoved);
    if (!(mayStay && position === (durable.get(partition) ?? 0))) {
      expect(position, `committed in ${topic.name}/${partition}`).toBeGreaterThanOrEqual(low);
      expect(position, `committed in ${topic.name}/${partition}`).toBeLessThanOrEqual(high);
    }
    one.committed = new Set([...unmoved, ...(isIn(position) ? [position] : one.committed)]);
    durable.set(partition, position);
  }
}

export async function closeConsumer(world: World, consumer: ConsumerModel): Promise<void> {
  const { topic, kind } = consumer;
  world.consumers = world.consumers.filter((one) => one !== consumer);
  if (topic.deleted) {
    // Its positions went with it.
    await consumer.handle.close().catch(() => undefined);
    await consumer.releaseRegions();
    return;
  }
  await consumer.handle.close();
  await consumer.releaseRegions();
  if (kind.ackEvery !== 0) await checkCommitted(consumer, true);
  else if (kind.name !== undefined) {
    const found = await committedOf(topic, kind.name);
    for (const partition of consumer.partitions.keys()) {
      expect(found.get(partition)).toBe(topic.cursorOf(kind.name, partition) ?? 0);
    }
  }
}

export async function closeProducer(world: World, producer: ProducerModel): Promise<void> {
  world.producers = world.producers.filter((one) => one !== producer);
  if (!producer.topic.deleted) await producer.settle();
  await producer.handle.close();
}
