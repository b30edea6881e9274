/**
 * NATS JetStream under the loops of the benchmarks, by its own client for Node. A partition is a stream with a file
 * store; an event is one message, its data behind its metadata.
 */
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { type Scenario, partitionOf, partitionsOfConsumer } from "../suite/scenario.js";
import { cpuSecondsOf } from "./cpu-seconds.js";
import { readMessage } from "./kafka-system.js";
import { MetadataSource, dataRingBytes, fillData, storedMetadataBytes } from "./payload.js";
import type { BenchConsumer, BenchProducer, OnDelivery, Received, System, SystemPlan, Topic } from "./system.js";

/** What is used of @nats-io/jetstream and @nats-io/transport-node, which are not installed where this is compiled. */
interface Connection {
  drain(): Promise<void>;
}
interface Message {
  readonly data: Uint8Array;
}
interface PullConsumer {
  consume(options: object): Promise<AsyncIterable<Message> & { stop(): void }>;
}
interface JetStream {
  publish(subject: string, payload: Uint8Array): Promise<unknown>;
  readonly consumers: { get(stream: string, options: object): Promise<PullConsumer> };
}
interface Manager {
  readonly streams: { add(config: object): Promise<unknown>; delete(stream: string): Promise<unknown> };
}
interface Modules {
  connect(this: void, options: object): Promise<Connection>;
  jetstream(this: void, connection: Connection, options?: object): JetStream;
  jetstreamManager(this: void, connection: Connection): Promise<Manager>;
}

async function loadNats(client: string): Promise<Modules> {
  const require = createRequire(path.join(client, "package.json"));
  const load = async (name: string): Promise<object> =>
    (await import(pathToFileURL(require.resolve(name)).href)) as object;
  return { ...(await load("@nats-io/transport-node")), ...(await load("@nats-io/jetstream")) } as Modules;
}

/** Messages that a producer has under way: more only waits in the client. */
const underWayMax = 2048;
const underWayBytesMax = 64 * 1024 * 1024;

const streamOf = (topic: string, partition: number): string => `${topic}-${partition}`;

export class NatsSystem implements System {
  readonly #plan: SystemPlan;
  #modules: Promise<Modules> | undefined;
  readonly #connections: Connection[] = [];

  constructor(plan: SystemPlan) {
    this.#plan = plan;
  }

  async createTopic({ name, scenario }: Topic): Promise<void> {
    const { jetstreamManager } = await this.#load();
    const manager = await jetstreamManager(await this.#connect());
    for (let partition = 0; partition < scenario.partitions; partition++) {
      const stream = streamOf(name, partition);
      const storage = scenario.storage === "memory" ? "memory" : "file";
      await manager.streams.add({ name: stream, subjects: [stream], storage, num_replicas: 1, discard: "new" });
    }
  }

  async removeTopic({ name, scenario }: Topic): Promise<void> {
    const { jetstreamManager } = await this.#load();
    const manager = await jetstreamManager(await this.#connect());
    for (let partition = 0; partition < scenario.partitions; partition++) {
      await manager.streams.delete(streamOf(name, partition));
    }
  }

  async producer({ name, scenario }: Topic): Promise<BenchProducer> {
    const { jetstream } = await this.#load();
    return new Publisher(jetstream(await this.#connect(), { timeout: 60_000 }), name, scenario);
  }

  async consumer({ name, scenario }: Topic, consumer: number): Promise<BenchConsumer> {
    const { jetstream } = await this.#load();
    const stream = jetstream(await this.#connect());
    return new Subscriber(stream, name, scenario, partitionsOfConsumer(scenario, consumer));
  }

  serverCpuSeconds(): number | undefined {
    return this.#plan.serverPid === undefined ? undefined : cpuSecondsOf(this.#plan.serverPid);
  }
  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.drain()));
  }

  async #load(): Promise<Modules> {
    return await (this.#modules ??= loadNats(this.#plan.client ?? ""));
  }
  async #connect(): Promise<Connection> {
    const { connect } = await this.#load();
    const connection = await connect({ servers: this.#plan.address, noEcho: true });
    this.#connections.push(connection);
    return connection;
  }
}

class Publisher implements BenchProducer {
  readonly #stream: JetStream;
  readonly #topic: string;
  readonly #scenario: Scenario;
  readonly #source: MetadataSource;
  readonly #data: Buffer | undefined;
  readonly #window: number;

  constructor(stream: JetStream, topic: string, scenario: Scenario) {
    this.#stream = stream;
    this.#topic = topic;
    this.#scenario = scenario;
    this.#source = new MetadataSource(scenario, true);
    this.#window = Math.max(1, Math.min(underWayMax, Math.floor(underWayBytesMax / (scenario.dataBytes + 1))));
    const bytes = dataRingBytes(scenario);
    if (bytes > 0) {
      this.#data = Buffer.alloc(bytes);
      fillData(new Float64Array(this.#data.buffer, this.#data.byteOffset, bytes / 8));
    }
  }

  async send(first: number, count: number): Promise<void> {
    let underWay = 0;
    let failure: unknown;
    let wake: (() => void) | undefined;
    const ended = (): void => {
      underWay--;
      if (underWay <= this.#window / 2) wake?.();
    };
    for (let index = first; index < first + count; index++) {
      underWay++;
      this.#publish(index, 0).then(ended, (error: unknown) => {
        failure ??= error;
        ended();
      });
      if (underWay >= this.#window) {
        await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    }
    while (underWay > 0) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
    if (failure !== undefined) throw failure as Error;
  }

  sendOne(index: number, dueUs: number, acknowledged: () => void): void {
    void this.#publish(index, dueUs).then(acknowledged);
  }
  async close(): Promise<void> {
    await Promise.resolve(); // the connection is the system's
  }

  async #publish(index: number, dueUs: number): Promise<void> {
    const metadata = this.#source.bytesAt(index, dueUs);
    const subject = streamOf(this.#topic, partitionOf(this.#scenario, index));
    const data = this.#data;
    if (data === undefined) {
      await this.#stream.publish(subject, metadata);
      return;
    }
    const { dataBytes } = this.#scenario;
    const at = (index * dataBytes) % data.length;
    await this.#stream.publish(subject, Buffer.concat([metadata, data.subarray(at, at + dataBytes)]));
  }
}

class Subscriber implements BenchConsumer {
  readonly #stream: JetStream;
  readonly #topic: string;
  readonly #scenario: Scenario;
  readonly #partitions: readonly number[];
  #iterators: AsyncIterator<Message>[] = [];
  #stops: (() => void)[] = [];
  readonly #coming = new Map<AsyncIterator<Message>, Promise<IteratorResult<Message>>>();

  constructor(stream: JetStream, topic: string, scenario: Scenario, partitions: readonly number[]) {
    this.#stream = stream;
    this.#topic = topic;
    this.#scenario = scenario;
    this.#partitions = partitions;
  }

  async start(offset: number): Promise<void> {
    const pending =
      this.#scenario.dataBytes >= 65_536
        ? { max_bytes: 32 * 1024 * 1024 + this.#scenario.dataBytes }
        : { max_messages: 8192 };
    for (const partition of this.#partitions) {
      // An ordered consumer: no acknowledgements, its own way of reading a stream once.
      const consumer = await this.#stream.consumers.get(streamOf(this.#topic, partition), {
        opt_start_seq: offset + 1,
      });
      const messages = await consumer.consume(pending);
      this.#iterators.push(messages[Symbol.asyncIterator]());
      this.#stops.push(() => {
        messages.stop();
      });
    }
  }

  async receive(count: number, onDelivery?: OnDelivery): Promise<Received> {
    const received: Received = { events: 0, bytes: 0, steps: 0, checksum: 0 };
    const { dataBytes } = this.#scenario;
    const metadataBytes = storedMetadataBytes(this.#scenario);
    let resolveAll: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (resolveAll = resolve));
    const read = async (iterator: AsyncIterator<Message>): Promise<void> => {
      while (received.events < count) {
        // A message that a reader still waits for when the others have made up the count is the next call's.
        const coming = this.#coming.get(iterator) ?? iterator.next();
        this.#coming.set(iterator, coming);
        const next = await coming;
        if (next.done === true || received.events >= count) return;
        this.#coming.delete(iterator);
        const { data: bytes } = next.value;
        const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        const data = dataBytes === 0 ? null : message.subarray(metadataBytes);
        const due = readMessage(this.#scenario, message.subarray(0, metadataBytes), data, received);
        onDelivery?.(due);
        received.events++;
        if (received.events >= count) resolveAll();
      }
    };
    const readers = Promise.all(this.#iterators.map(read));
    await Promise.race([finished, readers]);
    return received;
  }

  async close(): Promise<void> {
    // Not its close(), which waits for an iteration that has ended already.
    for (const stop of this.#stops) stop();
    this.#iterators = [];
    this.#stops = [];
    await Promise.resolve();
  }
}
