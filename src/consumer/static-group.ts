/**
 * Members of a static group (`share`) read a topic's partitions among themselves. Who reads which is settled when a
 * consumer is opened, without a server: by rank and size alone, or by an allgather over a communicator, from whose result
 * every member computes the same. JavaScript thread.
 */
import { checkInteger, checkMembers, invalid } from "../check.js";
import { WeftError } from "../errors.js";
import { Communicator } from "../job/communicator.js";
import type { TopicContext } from "../topic/context.js";
import { localSlots } from "../topic/local-slots.js";
import { sharePartitions } from "./partition-share.js";

/** Who reads with this consumer: the ranks of a communicator, or this one of so many. */
export type Share = Communicator | { readonly rank: number; readonly size: number };

/** Members of a group: as many as a launch has ranks. */
const membersMax = 2 ** 31 - 1;

/** What each member says to the others. */
interface MemberFacts {
  readonly topic: string;
  readonly uuid: string;
  readonly partitions: number;
  readonly localSlots: readonly number[];
}

/** WEFT_INVALID_ARGUMENT. */
export function checkShare(share: unknown): void {
  if (share instanceof Communicator) return;
  if (typeof share !== "object" || share === null) {
    throw invalid("share of consumer", share, "a Communicator or { rank, size }");
  }
  checkMembers("share of consumer", share, ["rank", "size"]);
  const { rank, size } = share as { readonly rank?: unknown; readonly size?: unknown };
  if (checkInteger("size of share", size, 1, membersMax, undefined) === undefined) {
    throw invalid("size of share", size, "a whole number from 1");
  }
  if (checkInteger("rank of share", rank, 0, (size as number) - 1, undefined) === undefined) {
    throw invalid("rank of share", rank, `a whole number below the size, ${size as number}`);
  }
}

/**
 * This member's partitions, ascending; none where there are more members than partitions. Collective over a communicator:
 * WEFT_INVALID_ARGUMENT on every rank if they opened different topics; WEFT_MPI, WEFT_CLOSED.
 */
export async function partitionsOfMember(topic: TopicContext, share: Share): Promise<readonly number[]> {
  const partitions = Array.from({ length: topic.partitionCount }, (_, partition) => partition);
  if (!(share instanceof Communicator)) return partitions.filter((partition) => partition % share.size === share.rank);
  const description = topic.description as Partial<TopicContext["description"]>; // where there is no catalogue, empty
  const slots = partitions.map((partition) => description.slots?.[partition] ?? -1);
  const mine: MemberFacts = {
    topic: topic.name,
    uuid: description.uuid ?? "",
    partitions: topic.partitionCount,
    localSlots: await knownLocalSlots(topic, slots),
  };
  const members = await share.allgatherValues(mine);
  for (const [rank, member] of members.entries()) {
    const [first = mine] = members;
    if (member.uuid === first.uuid && member.topic === first.topic && member.partitions === first.partitions) continue;
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `the ranks of share opened different topics: rank 0 '${first.topic}' (${first.uuid}), rank ${rank} '${member.topic}' (${member.uuid})`,
      { next: "open consumers of the same topic on all ranks of the communicator, in the same order" },
    );
  }
  const shares = sharePartitions(
    slots,
    members.map((member) => new Set(member.localSlots)),
  );
  return shares[share.rank] ?? [];
}

/** None where it cannot be known: it is a preference, and the others wait for this member. */
async function knownLocalSlots(topic: TopicContext, slots: readonly number[]): Promise<number[]> {
  try {
    return [...(await localSlots(topic, slots))];
  } catch {
    return [];
  }
}
