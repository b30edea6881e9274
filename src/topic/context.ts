/** What producers and consumers need of their topic. */
import type { TopicDescription } from "../control/topic-description.js";
import type { JobContext } from "../job/context.js";
import type { TopicHandle } from "../native/binding.js";

export interface TopicContext {
  readonly name: string;
  readonly partitionCount: number;
  readonly serializer: "json" | "raw";
  readonly eventDataBytesMax: number;
  readonly description: TopicDescription;
  readonly job: JobContext;
  readonly handle: TopicHandle;
}
