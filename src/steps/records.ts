/** What is stored of steps, in the companion topic `NAME.steps` (docs/formats/steps.md): its config, texts, their check. Pure. */
import type { TopicConfig } from "../config/topic-config.js";
import type { TopicDescription } from "../control/topic-description.js";
import { WeftError } from "../errors.js";
import type { ArrayPart } from "./assembly.js";

/** Partitions of the companion. */
export const commitPartition = 0;
export const votePartition = 1;

export const companionName = (topic: string): string => `${topic}.steps`;

/** Commits are as durable as what they commit. */
export function companionConfig({ name, storage, durability }: TopicDescription): TopicConfig {
  return {
    partitions: 2,
    storage,
    durability,
    partitionSelector: "explicit",
    options: { stepsOf: name },
    ...(storage === "memory" ? { memoryDataBytes: "32 MiB", memoryMetadataBytes: "8 MiB" } : {}),
  };
}

/** One part of a step, as its commit names it. */
export interface PartRecord {
  readonly rank: number;
  readonly partition: number;
  readonly offset: number;
  /** Of the partition when the part was stored. */
  readonly epoch: number;
  readonly bytes: number;
  readonly metadata: unknown;
  readonly array?: ArrayPart | undefined;
}

/** Metadata of a commit; its data are the parts, as JSON. */
export interface CommitRecord {
  readonly step: number;
  /** Of the group's start that committed it. */
  readonly run: string;
  /** Decisions of that start before this one; without MPI. */
  readonly round?: number | undefined;
  readonly ranks: number;
  readonly parts: number;
  /** Votes before this offset are done with. */
  readonly votesEnd: number;
  /** It was not committed, and why: the others of the group hear of it, consumers do not. */
  readonly aborted?: string | undefined;
}

/** What a rank says of its part of a step. */
export interface Vote {
  readonly step: number;
  readonly rank: number;
  readonly parts: readonly PartRecord[];
  /** Why there can be no step. */
  readonly failure?: string | undefined;
}

/** Metadata of a vote; its data are the parts. */
export interface VoteRecord {
  readonly step: number;
  readonly run: string;
  /** Which decision it is for. */
  readonly round: number;
  readonly rank: number;
  readonly failure?: string | undefined;
}

export function encodeParts(parts: readonly PartRecord[]): Uint8Array {
  return Buffer.from(JSON.stringify(parts));
}

export function decodeParts(bytes: Uint8Array, what: string): PartRecord[] {
  try {
    const parts = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as unknown;
    if (Array.isArray(parts)) return parts as PartRecord[];
  } catch {
    // said below
  }
  throw new WeftError("WEFT_METADATA_INVALID", `${what} does not name its parts`, {
    next: "look at who else writes to the topic of the steps",
  });
}
