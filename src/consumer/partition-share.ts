/**
 * Which member of a static group reads which partitions: each partition exactly one, none more than one partition more than
 * another, and on the host of the partition's server where that can be. Every member computes the same from the same
 * facts, so nobody has to hand the result around. Pure; linear in partitions and members of a host.
 */

/**
 * The partitions of each member, ascending. `slots`: of each partition the slot of its server. `localSlots`: of each
 * member the slots on its host. No member has fewer than floor(partitions / members), none more than one above that. With
 * hosts that see disjoint sets of slots no assignment within these bounds has more local partitions.
 */
export function sharePartitions(
  slots: readonly number[],
  localSlots: readonly ReadonlySet<number>[],
): readonly (readonly number[])[] {
  const memberCount = localSlots.length;
  const shares: number[][] = localSlots.map(() => []);
  const base = Math.floor(slots.length / memberCount);
  /** Members that may have one more than `base`. */
  let extras = slots.length - base * memberCount;
  const membersOf = membersBySlot(slots, localSlots);
  const sizeOf = (member: number): number => shares[member]?.length ?? 0;

  /** Gives each partition to the one with the fewest of its local members, if that has room; returns the others. */
  const giveLocal = (partitions: readonly number[], sizeMax: number): number[] =>
    partitions.filter((partition) => {
      const members = membersOf.get(slots[partition] ?? -1) ?? [];
      const [first = -1] = members;
      const least = members.reduce((best, member) => (sizeOf(member) < sizeOf(best) ? member : best), first);
      if (first < 0 || sizeOf(least) >= sizeMax) return true;
      if (sizeOf(least) === base) {
        if (extras === 0) return true;
        extras--;
      }
      shares[least]?.push(partition);
      return false;
    });

  // All have `base` before anyone has more: else the last ones could be left with less.
  const elsewhere = giveLocal(giveLocal([...slots.keys()], base), base + 1);
  let given = 0;
  for (const sizeMax of [base, base + 1]) {
    for (const share of shares) {
      const room = Math.max(0, sizeMax - share.length);
      share.push(...elsewhere.slice(given, given + room));
      given = Math.min(given + room, elsewhere.length);
    }
  }
  for (const share of shares) share.sort((a, b) => a - b);
  return shares;
}

function membersBySlot(
  slots: readonly number[],
  localSlots: readonly ReadonlySet<number>[],
): ReadonlyMap<number, readonly number[]> {
  const members = new Map<number, number[]>([...new Set(slots)].map((slot) => [slot, []]));
  for (const [member, local] of localSlots.entries()) for (const slot of local) members.get(slot)?.push(member);
  return members;
}
