// What the control plane needs of the process that hosts it: the data plane of its slot and a way to the other slots.
// The native core stands behind it (native-host.ts); tests put one in memory there.

import type { TopicDescription } from "./topic-description.js";

export interface OpenedPartition {
  firstOffset: number;
  nextOffset: number;
  epoch: number;
  /** What recovery cut off; "" if nothing. */
  recovery: string;
}

export interface HostFacts {
  slot: number;
  slotEpoch: number;
  /** Slots known in the job. */
  slotCount: number;
  sessionCount: number;
  data: string | undefined;
  group: string;
}

export interface ServerHost {
  facts(): HostFacts;
  /** Clients may look it up from now on. */
  topicPut(topic: TopicDescription): void;
  topicRemove(name: string): void;
  /** Opens, creating what is not there, and recovers. */
  partitionOpen(topic: TopicDescription, partition: number): Promise<OpenedPartition>;
  /** Gives it the rules of the description; sealed, once what it accepted before is stored. */
  partitionAlter(topic: TopicDescription, partition: number): Promise<void>;
  /** Closes; with `remove` deletes the files. */
  partitionClose(topic: TopicDescription, partition: number, remove: boolean): Promise<void>;
  /** The native core's own description. */
  partitionDescribe(topic: TopicDescription, partition: number): Record<string, unknown>;
  /** A control request to another slot; rejects with that slot's error, or WEFT_PEER_LOST, WEFT_TIMED_OUT. */
  control(slot: number, request: object, timeoutMs: number): Promise<Record<string, unknown>>;
}

export type LogLevel = "debug" | "info" | "warning" | "error";
export type Log = (level: LogLevel, text: string) => void;
