/** What producers and consumers need of their topic. */
import type { TopicConfig } from "../config/topic-config.js";
import type { TopicDescription } from "../control/topic-description.js";
import type { JobContext } from "../job/context.js";
import type { TopicHandle } from "../native/binding.js";
import type { PackedCodec } from "../packed/codec.js";
import type { MetadataCodec } from "./metadata-codec.js";

export interface TopicContext {
  readonly name: string;
  readonly partitionCount: number;
  readonly serializer: "json" | "raw" | "packed" | "custom";
  /** Of packed metadata; undefined with another serializer. */
  readonly codec: PackedCodec | undefined;
  /** Of the serializer "custom". */
  readonly custom: MetadataCodec | undefined;
  readonly eventDataBytesMax: number;
  readonly description: TopicDescription;
  readonly job: JobContext;
  readonly handle: TopicHandle;
  /** Opens a topic beside this one, and makes it where it is not there. */
  companion(name: string, config: TopicConfig): Promise<TopicContext>;
  partition(partition: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<PartitionState>;
}

/** State of a partition at the moment of the question. */
export interface PartitionState {
  readonly partition: number;
  /** Of the oldest event kept. */
  readonly firstOffset: number;
  /** Behind the newest event that is visible. */
  readonly visibleEnd: number;
  /** Grows when the end of the log had to be cut at a recovery. */
  readonly epoch: number;
}
