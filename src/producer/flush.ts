/**
 * What `flush` may be asked for: the topic's durability, or a higher one. A lower one is what the topic gives anyway. Pure.
 */
import { checkMembers, checkSignal, invalid } from "../check.js";
import { DURABILITIES } from "../config/topic-config.js";
import type { Durability } from "../config/topic-config.js";
import { WeftError } from "../errors.js";

export interface FlushOptions {
  /**
   * Resolve only when all that this producer was acknowledged is stored so, too; default the topic's, which is the least.
   * "synced" in a topic of a lower one costs a sync of each partition that has events of this producer since the last.
   */
  readonly durability?: Durability | undefined;
  /** Ends the waiting (WEFT_CANCELLED); the events stay on their way. */
  readonly signal?: AbortSignal | undefined;
}

/** Whether a sync must follow the acknowledgements. Throws before anything is sent. */
export function needsSync(
  topicName: string,
  topic: { readonly storage: string; readonly durability: string },
  options: FlushOptions,
): boolean {
  checkMembers("flush", options, ["durability", "signal"]);
  checkSignal("signal of flush", options.signal);
  const { durability } = options;
  if (durability === undefined) return false;
  if (!DURABILITIES.includes(durability)) throw invalid("durability of flush", durability, DURABILITIES.join(", "));
  if (topic.storage === "memory" && durability !== "memory") {
    throw new WeftError(
      "WEFT_UNSUPPORTED",
      `topic '${topicName}' is kept in memory: flush cannot make its events "${durability}"`,
      { next: 'create the topic with storage "disk"' },
    );
  }
  // What is acknowledged at "memory" on disk is written, too.
  return durability === "synced" && topic.durability !== "synced";
}
