/** Which of a topic's servers are on this host. JavaScript thread. */
import { setImmediate as nextTurn } from "node:timers/promises";

import type { TopicContext } from "./context.js";

/** Slots asked for in one turn: for each a file of the group directory may be read. */
const slotsAtOnce = 16;

/** Those of `slots` whose server is on this host; one that is away is not. */
export async function localSlots(topic: TopicContext, slots: Iterable<number>): Promise<Set<number>> {
  const { binding, job } = topic.job.completions;
  const local = new Set<number>();
  let asked = 0;
  for (const slot of new Set(slots)) {
    if (asked++ % slotsAtOnce === slotsAtOnce - 1) await nextTurn();
    if (binding.slotLocal(job, slot)) local.add(slot);
  }
  return local;
}
