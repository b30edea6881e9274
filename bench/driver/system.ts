/**
 * What a system under measurement has to be able to do in a rank: the same loops drive all of them. Events are numbered
 * from 0 by each producer; a producer says the number in the metadata (`step`), and consumers add the numbers up, so that
 * an event that is lost or comes twice shows.
 */
import type { Scenario } from "../suite/scenario.js";

export interface Topic {
  readonly name: string;
  readonly scenario: Scenario;
}

/** What consumers saw; the same object is added to. */
export interface Received {
  events: number;
  /** Of metadata and of selected data. */
  bytes: number;
  /** Of all `step`. */
  steps: number;
  /** CRC32C of payloads, joined: so that reading them is not left out. */
  checksum: number;
}

/** Called with each event's due time, in microseconds of the common clock. */
export type OnDelivery = (dueUs: number) => void;

export interface BenchProducer {
  /** Sends as fast as it takes them; resolves when all are acknowledged. */
  send(first: number, count: number): Promise<void>;
  /** Sends one, which waits for nothing; `acknowledged` is called when it is. */
  sendOne(index: number, dueUs: number, acknowledged: () => void): void;
  close(): Promise<void>;
}

export interface BenchConsumer {
  /** Begins to read: what came before is not part of the measurement, what is fetched afterwards is. */
  start(offset: number): Promise<void>;
  /** Receives `count` events more. */
  receive(count: number, onDelivery?: OnDelivery): Promise<Received>;
  close(): Promise<void>;
}

/** In one rank. */
export interface System {
  /** In one rank only, before any other uses the topic. */
  createTopic(topic: Topic): Promise<void>;
  /** In one rank only, when nobody uses it any more. */
  removeTopic(topic: Topic): Promise<void>;
  producer(topic: Topic): Promise<BenchProducer>;
  /** `consumer`: which one of the scenario's. */
  consumer(topic: Topic, consumer: number): Promise<BenchConsumer>;
  /** CPU seconds of servers that are no ranks, so far; undefined where they cannot be seen. */
  serverCpuSeconds(): number | undefined;
  close(): Promise<void>;
}

export type SystemName = "weftline" | "kafka" | "nats";

/** Where the peers are, for the ranks. */
export interface SystemPlan {
  readonly name: SystemName;
  /** Of the broker. */
  readonly address?: string | undefined;
  readonly serverPid?: number | undefined;
  /** Folder whose node_modules has the client. */
  readonly client?: string | undefined;
}

export interface Plan {
  readonly system: SystemPlan;
  readonly topics: readonly Topic[];
  /** For the servers' files. */
  readonly directory: string;
  /**
   * A folder: a topic is measured once there is a file `go-NUMBER` in it, and `done-NUMBER.json` then holds its results.
   * So worlds of several systems wait for their turns without doing anything. Without one, all are measured at once.
   */
  readonly gate?: string | undefined;
}
