/** What topics, producers and consumers need of their job. */
import type { Completions } from "../native/completions.js";
import type { TopicConfig } from "../config/topic-config.js";
import type { SlabStore } from "./slab-store.js";

/** What can be open in a job; closed with it. */
export interface Closable {
  close(): Promise<void>;
}

export interface JobContext {
  readonly rank: number;
  readonly completions: Completions;
  readonly opened: Set<Closable>;
  readonly slabs: SlabStore;
  /** A `Topic`, which this cannot name. */
  createTopic(name: string, config: TopicConfig, options: { readonly ifExists: "open" }): Promise<object>;
}
