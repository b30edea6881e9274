/** Weftline under the loops of the benchmarks. */
import {
  type Consumer,
  type Event,
  type Job,
  type Producer,
  type Region,
  type Select,
  type Selection,
  type TopicConfig,
  all,
  isWeftError,
  metadataOnly,
  range,
} from "weftline";

import {
  type Scenario,
  batchOf,
  mebibyte,
  partitionOf,
  partitionsOfConsumer,
  selectedBytes,
  wantsData,
} from "../suite/scenario.js";
import { crc32c } from "./checksum.js";
import {
  type BenchMetadata,
  MetadataSource,
  dataRingBytes,
  dueOf,
  fillData,
  packedSchema,
  rawDue,
  rawStep,
  stepOf,
  storedMetadataBytes,
} from "./payload.js";
import type { BenchConsumer, BenchProducer, OnDelivery, Received, System, Topic } from "./system.js";

type Metadata = BenchMetadata | Uint8Array;

/** Events of one pull: as many as are read while they are in the cache. */
const pullEvents = 1024;
/** Batches of many events: "adaptive" may fill one as far as it likes. */
const adaptiveBatchEvents = 1024;

export function topicConfig({ scenario }: Topic): TopicConfig {
  const { partitions, storage, durability, encoding } = scenario;
  const serializer = encoding === "packed" ? { packed: packedSchema } : { serializer: encoding };
  if (storage === "disk") return { partitions, storage, durability, ...serializer };
  const events = (scenario.events + scenario.warmUpEvents * scenario.producers) / partitions + batchOf(scenario);
  const roomFor = (bytes: number): number => Math.ceil((events * bytes * 1.2) / mebibyte + 4) * mebibyte;
  return {
    ...{ partitions, storage, ...serializer },
    memoryDataBytes: roomFor(scenario.dataBytes),
    memoryMetadataBytes: roomFor(storedMetadataBytes(scenario) + 32),
  };
}

export class WeftlineSystem implements System {
  readonly #job: Job;

  constructor(job: Job) {
    this.#job = job;
  }

  /** The server has made it already, out of its configuration. */
  async createTopic(): Promise<void> {
    await Promise.resolve();
  }
  /** Its files are removed with the server's directory. */
  async removeTopic(): Promise<void> {
    await Promise.resolve();
  }
  serverCpuSeconds(): number | undefined {
    return 0; // servers are ranks, and count as such
  }
  async close(): Promise<void> {
    await Promise.resolve(); // the job is the rank's
  }

  async producer({ name, scenario }: Topic): Promise<BenchProducer> {
    const opened = await this.#job.topic<Metadata>(name);
    const batchEvents = scenario.batch === "adaptive" ? adaptiveBatchEvents : scenario.batch;
    const producer = await opened.producer({ batchEvents });
    const bytes = dataRingBytes(scenario);
    const region = bytes > 0 ? this.#job.alloc(bytes) : undefined;
    if (region !== undefined) fillData(region.float64());
    return new WeftlineProducer(producer, scenario, region);
  }

  async consumer({ name, scenario }: Topic, consumer: number): Promise<BenchConsumer> {
    const opened = await this.#job.topic<Metadata>(name);
    const partitions = partitionsOfConsumer(scenario, consumer);
    const select = selectionOf(scenario);
    const open = (offset: number): Consumer<Metadata> => opened.consumer({ partitions, from: { offset }, select });
    return new WeftlineConsumer(open, scenario);
  }
}

class WeftlineProducer implements BenchProducer {
  readonly #producer: Producer<Metadata>;
  readonly #scenario: Scenario;
  readonly #source: MetadataSource;
  readonly #region: Region | undefined;
  readonly #burst: number;

  constructor(producer: Producer<Metadata>, scenario: Scenario, region: Region | undefined) {
    this.#producer = producer;
    this.#scenario = scenario;
    this.#source = new MetadataSource(scenario);
    this.#region = region;
    this.#burst = Math.min(batchOf(scenario), 512);
  }

  async send(first: number, count: number): Promise<void> {
    for (let index = first; index < first + count; index++) {
      for (;;) {
        try {
          this.#push(index, 0);
          break;
        } catch (error) {
          if (!isWeftError(error, "WEFT_BUSY")) throw error;
          await this.#producer.ready();
        }
      }
      if (index % this.#burst === this.#burst - 1) await this.#producer.ready();
    }
    await this.#producer.flush();
  }

  sendOne(index: number, dueUs: number, acknowledged: () => void): void {
    void this.#push(index, dueUs).wait().then(acknowledged);
  }

  async close(): Promise<void> {
    await this.#producer.close();
    this.#region?.release();
  }

  #push(index: number, dueUs: number): ReturnType<Producer["push"]> {
    const { dataBytes, partitions } = this.#scenario;
    const region = this.#region;
    const at = region === undefined ? 0 : (index * dataBytes) % region.length;
    const data = region === undefined ? undefined : region.slice(at, at + dataBytes);
    const where = partitions === 1 ? undefined : { partition: partitionOf(this.#scenario, index) };
    return this.#producer.push(this.#source.at(index, dueUs), data, where);
  }
}

class WeftlineConsumer implements BenchConsumer {
  readonly #open: (offset: number) => Consumer<Metadata>;
  readonly #scenario: Scenario;
  #consumer: Consumer<Metadata> | undefined;

  constructor(open: (offset: number) => Consumer<Metadata>, scenario: Scenario) {
    this.#open = open;
    this.#scenario = scenario;
  }

  async start(offset: number): Promise<void> {
    this.#consumer = this.#open(offset);
    await this.#consumer.open();
  }

  async receive(count: number, onDelivery?: OnDelivery): Promise<Received> {
    const isRaw = this.#scenario.encoding === "raw";
    const metadataBytes = storedMetadataBytes(this.#scenario);
    const received: Received = { events: 0, bytes: 0, steps: 0, checksum: 0 };
    while (received.events < count) {
      const events = (await this.#consumer?.pull({ max: Math.min(pullEvents, count - received.events) })) ?? [];
      for (const event of events) {
        const due = isRaw ? this.#readRaw(event, received) : this.#readRecord(event, received);
        if (event.dataLength > 0) {
          const { data } = event;
          if (data.byteLength > 0) received.checksum ^= crc32c(data, 0);
          received.bytes += data.byteLength;
        }
        onDelivery?.(due);
      }
      received.events += events.length;
      received.bytes += events.length * metadataBytes;
    }
    return received;
  }

  async close(): Promise<void> {
    await this.#consumer?.close();
    this.#consumer = undefined;
  }

  #readRecord(event: Event<Metadata>, received: Received): number {
    const metadata = event.metadata as BenchMetadata;
    received.steps += stepOf(metadata);
    return dueOf(metadata);
  }
  #readRaw(event: Event<Metadata>, received: Received): number {
    const bytes = event.metadataBytes;
    received.steps += rawStep(bytes);
    received.checksum ^= crc32c(bytes, 0);
    return rawDue(bytes);
  }
}

function selectionOf(scenario: Scenario): Selection | Select<Metadata> {
  if (scenario.dataBytes === 0) return metadataOnly;
  const wanted = scenario.selectData === 100 ? all : range(0, selectedBytes(scenario));
  if (scenario.selectEvents === 100) return wanted;
  const isRaw = scenario.encoding === "raw";
  return (metadata) => {
    const step = isRaw ? rawStep(metadata as Uint8Array) : stepOf(metadata as BenchMetadata);
    return wantsData(scenario, step) ? wanted : metadataOnly; // `nothing` would not hand it out
  };
}
