// The partitions of this slot: opened at start from their records, made and removed as slot 0 asks. JavaScript thread.
//
// Promises: create and remove are idempotent by the topic's uuid; a partition of another uuid is never touched; one that
// cannot be opened is unavailable, and nothing else. Changes of partitions run one request after another.

import { errorText } from "./error-text.js";
import { WeftError } from "../errors.js";
import type { PartitionRecord, PartitionRecords } from "./partition-records.js";
import type { Log, OpenedPartition, ServerHost } from "./server-host.js";
import type { TopicDescription } from "./topic-description.js";

const OPENS_AT_ONCE = 4;

export interface PartitionStateReport {
  partition: number;
  state: "open" | "opening" | "failed" | "absent";
  error?: string;
  [member: string]: unknown;
}

interface Hosted {
  topic: TopicDescription;
  readonly partition: number;
  state: "open" | "opening" | "failed";
  error?: WeftError;
  opened?: OpenedPartition;
}

export class SlotPartitions {
  private readonly hosted = new Map<string, Hosted>(); // by "topic/partition"
  private queue: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly host: ServerHost,
    private readonly records: PartitionRecords,
    private readonly log: Log,
  ) {}

  get count(): number {
    return this.hosted.size;
  }

  /** Topics with a partition here, each once. */
  topics(): TopicDescription[] {
    return [...new Map([...this.hosted.values()].map(({ topic }) => [topic.uuid, topic])).values()];
  }

  /** Opens every partition on record. Those that cannot be opened are logged and stay unavailable. */
  async openRecorded(): Promise<void> {
    const records = await this.records.load((path, error) => {
      this.log("error", `${errorText(error)} (${path}); its partition is unavailable`);
    });
    await this.eachAtOnce(records, async ({ topic, partition }) => {
      try {
        await this.open(topic, partition);
      } catch (error) {
        this.log("error", `partition ${topic.name}/${partition} is unavailable: ${errorText(error)}`);
      }
    });
  }

  private async eachAtOnce<T>(items: readonly T[], action: (item: T) => Promise<void>): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) await action(item);
    };
    await Promise.all(Array.from({ length: Math.min(OPENS_AT_ONCE, items.length) }, work));
  }

  private async open(topic: TopicDescription, partition: number): Promise<Hosted> {
    const key = `${topic.name}/${partition}`;
    const hosted: Hosted = { topic, partition, state: "opening" };
    this.hosted.set(key, hosted);
    try {
      await this.records.prepare(topic, partition);
      hosted.opened = await this.host.partitionOpen(topic, partition);
      hosted.state = "open";
    } catch (error) {
      hosted.state = "failed";
      hosted.error = error instanceof WeftError ? error : new WeftError("WEFT_INTERNAL", String(error));
      throw error;
    }
    const { firstOffset, nextOffset, epoch, recovery } = hosted.opened;
    if (recovery !== "") this.log("warning", `partition ${key}: ${recovery}`);
    this.log("debug", `partition ${key} is open: events ${firstOffset} to ${nextOffset}, epoch ${epoch}`);
    return hosted;
  }

  private inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.queue.then(action);
    this.queue = result.catch(() => undefined);
    return result;
  }

  create(topic: TopicDescription, partitions: readonly number[]): Promise<PartitionStateReport[]> {
    return this.inTurn(async () => {
      const { slot, data } = this.host.facts();
      if (topic.storage === "disk" && data === undefined) {
        throw new WeftError(
          "WEFT_UNSUPPORTED",
          `slot ${slot} has no data directory, so it cannot hold topic '${topic.name}' with storage "disk"`,
          { next: `start the server with --data, or create the topic with storage "memory"` },
        );
      }
      for (const partition of partitions) this.refuseForeign(topic, partition);
      await this.eachAtOnce(partitions, async (partition) => {
        const there = this.hosted.get(`${topic.name}/${partition}`);
        if (there?.state === "open") return;
        if (!there) await this.records.write(topic, partition);
        await this.open(topic, partition);
      });
      return partitions.map((partition) => this.report(topic.uuid, topic.name, partition));
    });
  }

  private refuseForeign(topic: TopicDescription, partition: number): void {
    const there = this.hosted.get(`${topic.name}/${partition}`);
    if (!there || there.topic.uuid === topic.uuid) return;
    throw new WeftError(
      "WEFT_TOPIC_EXISTS",
      `slot ${this.host.facts().slot} holds partition ${topic.name}/${partition} of another topic of that name (${there.topic.uuid})`,
      { next: "choose another name, or remove that partition's directory while the server is stopped" },
    );
  }

  /** Gives those that are here the description, on record first. WEFT_PARTITION_UNAVAILABLE if one cannot be opened. */
  alter(topic: TopicDescription, partitions: readonly number[]): Promise<PartitionStateReport[]> {
    return this.inTurn(async () => {
      for (const partition of partitions) this.refuseForeign(topic, partition);
      await this.eachAtOnce(partitions, async (partition) => {
        const there = this.hosted.get(`${topic.name}/${partition}`);
        if (there === undefined) throw this.unavailable(topic, partition, "it is not there");
        await this.records.replace(topic, partition);
        there.topic = topic;
        if (there.state === "failed") throw this.unavailable(topic, partition, errorText(there.error));
        await this.host.partitionAlter(topic, partition);
      });
      return partitions.map((partition) => this.report(topic.uuid, topic.name, partition));
    });
  }

  private unavailable({ name }: TopicDescription, partition: number, why: string): WeftError {
    const { slot } = this.host.facts();
    return new WeftError("WEFT_PARTITION_UNAVAILABLE", `slot ${slot}: partition ${name}/${partition}: ${why}`);
  }

  remove(name: string, uuid: string, partitions: readonly number[]): Promise<number[]> {
    return this.inTurn(async () => {
      const removed: number[] = [];
      for (const partition of partitions) {
        const key = `${name}/${partition}`;
        const there = this.hosted.get(key);
        if (!there || there.topic.uuid !== uuid) continue;
        if (there.state === "open") await this.host.partitionClose(there.topic, partition, true);
        // From here on it is not open any more; were the rest to fail, a repetition goes on with the files.
        there.state = "failed";
        await this.records.remove(there.topic, partition);
        this.hosted.delete(key);
        removed.push(partition);
      }
      return removed;
    });
  }

  states(uuid: string, partitions: readonly number[]): PartitionStateReport[] {
    return partitions.map((partition) => this.report(uuid, undefined, partition));
  }

  private report(uuid: string, name: string | undefined, partition: number): PartitionStateReport {
    const hosted =
      name === undefined
        ? [...this.hosted.values()].find((each) => each.topic.uuid === uuid && each.partition === partition)
        : this.hosted.get(`${name}/${partition}`);
    if (!hosted) return { partition, state: "absent" };
    if (hosted.state === "failed") {
      return { partition, state: "failed", error: hosted.error ? errorText(hosted.error) : "being removed" };
    }
    if (hosted.state === "opening" || !hosted.opened) return { partition, state: "opening" };
    const { firstOffset, nextOffset, epoch } = hosted.opened;
    const now = this.host.partitionDescribe(hosted.topic, partition);
    return { firstOffset, nextOffset, epoch, ...now, partition, state: "open" };
  }

  /** In order of topic and number, those behind `after`; at most `limit`. */
  list(after: string | undefined, limit: number): { partitions: PartitionRecord[]; next?: string } {
    const all = [...this.hosted.values()].sort(
      (left, right) => compare(left.topic.name, right.topic.name) || left.partition - right.partition,
    );
    let from = 0;
    if (after !== undefined) {
      const slash = after.lastIndexOf("/");
      const [name, number] = [after.slice(0, slash), Number(after.slice(slash + 1))];
      from = all.findIndex(({ topic, partition }) => (compare(topic.name, name) || partition - number) > 0);
      if (from < 0) from = all.length;
    }
    const page = all.slice(from, from + limit);
    const last = page.at(-1);
    return {
      partitions: page.map(({ topic, partition }) => ({ topic, partition })),
      ...(last && from + limit < all.length ? { next: `${last.topic.name}/${last.partition}` } : {}),
    };
  }
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
