/** What producers and consumers need of their topic. */
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
}
