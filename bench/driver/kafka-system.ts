/**
 * Apache Kafka under the loops of the benchmarks, by librdkafka's client for Node. Any broker of its protocol will do.
 * An event is one message: its metadata is the value, or, with data, the key, which saves the client a copy. Settings are
 * those of a client that is tuned for the scenario: docs/benchmarks.md lists them.
 */
import { createRequire } from "node:module";
import path from "node:path";

import { type Scenario, partitionOf, partitionsOfConsumer, selectedBytes, wantsData } from "../suite/scenario.js";
import { crc32c } from "./checksum.js";
import { cpuSecondsOf } from "./cpu-seconds.js";
import {
  type BenchMetadata,
  MetadataSource,
  dataRingBytes,
  dueOf,
  fillData,
  rawDue,
  rawStep,
  stepOf,
} from "./payload.js";
import type { BenchConsumer, BenchProducer, OnDelivery, Received, System, SystemPlan, Topic } from "./system.js";

/** What is used of @confluentinc/kafka-javascript, which is not installed where this is compiled. */
interface KafkaMessage {
  readonly value: Buffer | null;
  readonly key: Buffer | null;
}
interface KafkaClient {
  connect(options: object, done: (error: Error | null) => void): void;
  disconnect(done: (error: Error | null) => void): void;
  on(event: string, listener: (...args: never[]) => void): void;
}
interface KafkaProducer extends KafkaClient {
  setPollInBackground(on: boolean): void;
  setPollInterval(ms: number): void;
  produce(topic: string, partition: number, value: Buffer, key: Buffer | null, time: null, opaque?: unknown): void;
  flush(timeoutMs: number, done: (error: Error | null) => void): void;
}
interface KafkaConsumer extends KafkaClient {
  setDefaultConsumeTimeout(ms: number): void;
  setDefaultIsTimeoutOnlyForFirstMessage(on: boolean): void;
  assign(partitions: { topic: string; partition: number; offset: number }[]): void;
  consume(count: number, done: (error: Error | null, messages: KafkaMessage[]) => void): void;
}
interface KafkaAdmin {
  createTopic(topic: object, timeoutMs: number, done: (error: Error | null) => void): void;
  deleteTopic(name: string, timeoutMs: number, done: (error: Error | null) => void): void;
  disconnect(): void;
}
interface KafkaModule {
  readonly Producer: new (settings: object, topicSettings: object) => KafkaProducer;
  readonly KafkaConsumer: new (settings: object, topicSettings: object) => KafkaConsumer;
  readonly AdminClient: { create(settings: object): KafkaAdmin };
}

export function loadKafka(client: string): KafkaModule {
  return createRequire(path.join(client, "package.json"))("@confluentinc/kafka-javascript") as KafkaModule;
}

const messageBytesMax = 300 * 1024 * 1024;
/** Without limits that a benchmark of one event after the other would run into. */
const common = { "message.max.bytes": messageBytesMax, "receive.message.max.bytes": 1_000_000_000 };
/**
 * Of one request; a larger event goes alone. Measured with events of 64 KiB, 1 MiB and 8 MiB: 4 and 16 MiB are no faster
 * over all, and up to half as fast; with 300 MiB the broker did not answer for a minute.
 */
const batchBytesMax = 1024 * 1024;
const pollTimeoutMs = 20;
const flushTimeoutMs = 120_000;

export function producerSettings(scenario: Scenario): Record<string, unknown> {
  const { batch } = scenario;
  return {
    ...common,
    acks: "all",
    "linger.ms": batch === 1 || scenario.mode === "latency" ? 0 : 5,
    "batch.num.messages": batch === "adaptive" ? 10_000 : batch,
    "batch.size": batchBytesMax,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 2_000_000,
    "socket.nagle.disable": true,
    dr_cb: scenario.mode === "latency",
  };
}

export function consumerSettings(scenario: Scenario): Record<string, unknown> {
  return {
    ...common,
    "group.id": "bench",
    "enable.auto.commit": false,
    "auto.offset.reset": "earliest",
    "fetch.min.bytes": 1,
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": Math.max(8 * 1024 * 1024, scenario.dataBytes + 65_536),
    "fetch.max.bytes": messageBytesMax,
    "queued.min.messages": 1_000_000,
    "queued.max.messages.kbytes": 1_000_000,
    "socket.nagle.disable": true,
  };
}

/** What makes a topic as durable as ours: nothing, or a sync of each batch before it is acknowledged. */
export function topicSettings({ durability }: Scenario): Record<string, string> {
  return {
    "max.message.bytes": String(messageBytesMax),
    ...(durability === "synced" ? { "flush.messages": "1" } : {}),
  };
}

async function done(call: (done: (error: Error | null) => void) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    call((error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class KafkaSystem implements System {
  readonly #kafka: KafkaModule;
  readonly #address: Record<string, string>;
  readonly #serverPid: number | undefined;

  constructor({ client = "", address = "", serverPid }: SystemPlan) {
    this.#kafka = loadKafka(client);
    this.#address = { "bootstrap.servers": address };
    this.#serverPid = serverPid;
  }

  async createTopic({ name, scenario }: Topic): Promise<void> {
    const admin = this.#kafka.AdminClient.create(this.#address);
    const topic = {
      ...{ topic: name, num_partitions: scenario.partitions, replication_factor: 1 },
      config: topicSettings(scenario),
    };
    await done((finished) => {
      admin.createTopic(topic, 30_000, finished);
    });
    admin.disconnect();
  }

  async removeTopic({ name }: Topic): Promise<void> {
    const admin = this.#kafka.AdminClient.create(this.#address);
    await done((finished) => {
      admin.deleteTopic(name, 30_000, finished);
    });
    admin.disconnect();
  }

  async producer({ name, scenario }: Topic): Promise<BenchProducer> {
    const client = new this.#kafka.Producer({ ...this.#address, ...producerSettings(scenario) }, {});
    await done((finished) => {
      client.connect({ topic: name }, finished);
    });
    // Only once it is connected: before that the client's native part crashes.
    client.setPollInBackground(true);
    return new Sender(client, name, scenario);
  }

  async consumer({ name, scenario }: Topic, consumer: number): Promise<BenchConsumer> {
    const client = new this.#kafka.KafkaConsumer({ ...this.#address, ...consumerSettings(scenario) }, {});
    client.setDefaultConsumeTimeout(pollTimeoutMs);
    client.setDefaultIsTimeoutOnlyForFirstMessage(true);
    await done((finished) => {
      client.connect({ topic: name }, finished);
    });
    return new Receiver(client, name, scenario, partitionsOfConsumer(scenario, consumer));
  }

  serverCpuSeconds(): number | undefined {
    return this.#serverPid === undefined ? undefined : cpuSecondsOf(this.#serverPid);
  }
  async close(): Promise<void> {
    await Promise.resolve();
  }
}

class Sender implements BenchProducer {
  readonly #client: KafkaProducer;
  readonly #topic: string;
  readonly #scenario: Scenario;
  readonly #source: MetadataSource;
  readonly #data: Buffer | undefined;

  constructor(client: KafkaProducer, topic: string, scenario: Scenario) {
    this.#client = client;
    this.#topic = topic;
    this.#scenario = scenario;
    this.#source = new MetadataSource(scenario, true);
    const bytes = dataRingBytes(scenario);
    if (bytes > 0) {
      this.#data = Buffer.alloc(bytes);
      fillData(new Float64Array(this.#data.buffer, this.#data.byteOffset, bytes / 8));
    }
    client.on("delivery-report", (error: Error | null, report: { opaque?: () => void }) => {
      if (error === null || error === undefined) report.opaque?.(); // none of those of a warm-up
    });
  }

  async send(first: number, count: number): Promise<void> {
    for (let index = first; index < first + count; index++) {
      for (;;) {
        try {
          this.#produce(index, 0, undefined);
          break;
        } catch (error) {
          if (!(error as Error).message.includes("Queue full")) throw error;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
      if (index % 1024 === 1023) await nextTurn();
    }
    await done((finished) => {
      this.#client.flush(flushTimeoutMs, finished);
    });
  }

  sendOne(index: number, dueUs: number, acknowledged: () => void): void {
    this.#produce(index, dueUs, acknowledged);
  }

  async close(): Promise<void> {
    await done((finished) => {
      this.#client.disconnect(finished);
    });
  }

  #produce(index: number, dueUs: number, opaque: unknown): void {
    const metadata = this.#source.bytesAt(index, dueUs);
    const partition = partitionOf(this.#scenario, index);
    const data = this.#data;
    if (data === undefined) {
      this.#client.produce(this.#topic, partition, metadata, null, null, opaque);
      return;
    }
    const { dataBytes } = this.#scenario;
    const at = (index * dataBytes) % data.length;
    this.#client.produce(this.#topic, partition, data.subarray(at, at + dataBytes), metadata, null, opaque);
  }
}

class Receiver implements BenchConsumer {
  readonly #client: KafkaConsumer;
  readonly #topic: string;
  readonly #scenario: Scenario;
  readonly #partitions: readonly number[];

  constructor(client: KafkaConsumer, topic: string, scenario: Scenario, partitions: readonly number[]) {
    this.#client = client;
    this.#topic = topic;
    this.#scenario = scenario;
    this.#partitions = partitions;
  }

  async start(offset: number): Promise<void> {
    this.#client.assign(this.#partitions.map((partition) => ({ topic: this.#topic, partition, offset })));
    await Promise.resolve();
  }

  async receive(count: number, onDelivery?: OnDelivery): Promise<Received> {
    const received: Received = { events: 0, bytes: 0, steps: 0, checksum: 0 };
    while (received.events < count) {
      const messages = await new Promise<KafkaMessage[]>((resolve, reject) => {
        this.#client.consume(Math.min(1000, count - received.events), (error, list) => {
          if (error) reject(error);
          else resolve(list);
        });
      });
      for (const { key, value } of messages) {
        const due = readMessage(this.#scenario, key ?? value, key === null ? null : value, received);
        onDelivery?.(due);
      }
      received.events += messages.length;
    }
    return received;
  }

  async close(): Promise<void> {
    await done((finished) => {
      this.#client.disconnect(finished);
    });
  }
}

/** Reads an event of a system that hands out whole messages: metadata, and the selected part of its data. */
export function readMessage(
  scenario: Scenario,
  metadata: Buffer | null,
  data: Buffer | null,
  received: Received,
): number {
  if (metadata === null) throw new Error("a message without metadata");
  let step: number;
  let due: number;
  if (scenario.encoding === "json") {
    const record = JSON.parse(metadata.toString()) as BenchMetadata;
    [step, due] = [stepOf(record), dueOf(record)];
  } else {
    received.checksum ^= crc32c(metadata, 0);
    [step, due] = [rawStep(metadata), rawDue(metadata)];
  }
  received.steps += step;
  received.bytes += metadata.length;
  if (data !== null && wantsData(scenario, step)) {
    const wanted = scenario.selectData === 100 ? data : data.subarray(0, selectedBytes(scenario));
    received.checksum ^= crc32c(wanted, 0);
    received.bytes += wanted.length;
  }
  return due;
}
