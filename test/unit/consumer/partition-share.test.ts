// Which member of a static group reads which partitions: the four promises of src/consumer/partition-share.ts, for any
// partitions, servers, members and hosts.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { sharePartitions } from "../../../src/consumer/partition-share.js";

const slotsMax = 8;
const anySlots = fc.array(fc.nat({ max: slotsMax - 1 }), { maxLength: 60 });
/** Any member sees any slots on its host, however little sense that makes. */
const anyLocal = fc.array(fc.array(fc.nat({ max: slotsMax + 2 }), { maxLength: 5 }), { minLength: 1, maxLength: 20 });
/** Hosts as they are: each slot on one, each member on one. */
const hosts = fc.record({
  slots: anySlots,
  hostOfSlot: fc.array(fc.nat({ max: 4 }), { minLength: slotsMax, maxLength: slotsMax }),
  hostOfMember: fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 20 }),
});

const sets = (local: readonly (readonly number[])[]): Set<number>[] => local.map((slots) => new Set(slots));

describe("sharePartitions", () => {
  it("gives each partition to exactly one member, and none more than one more than another", () => {
    fc.assert(
      fc.property(anySlots, anyLocal, (slots, local) => {
        const shares = sharePartitions(slots, sets(local));
        expect(shares).toHaveLength(local.length);
        expect(shares.flat().sort((a, b) => a - b)).toEqual([...slots.keys()]);
        const sizes = shares.map((share) => share.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        for (const share of shares) expect(share).toEqual([...share].sort((a, b) => a - b));
      }),
      { numRuns: 1000 },
    );
  });

  it("is the same for all members, in whatever order each was told the slots of the others", () => {
    fc.assert(
      fc.property(anySlots, anyLocal, (slots, local) => {
        const one = sharePartitions(slots, sets(local));
        expect(sharePartitions([...slots], sets(local.map((own) => [...own].reverse())))).toEqual(one);
      }),
    );
  });

  it("leaves as many partitions as can be on the host of their server", () => {
    fc.assert(
      fc.property(hosts, ({ slots, hostOfSlot, hostOfMember }) => {
        const local = hostOfMember.map((host) => [...hostOfSlot.keys()].filter((slot) => hostOfSlot[slot] === host));
        const shares = sharePartitions(slots, sets(local));
        let seen = 0;
        for (const [member, share] of shares.entries()) {
          for (const partition of share) {
            if (hostOfSlot[slots[partition] ?? -1] === hostOfMember[member]) seen++;
          }
        }
        expect(seen).toBe(mostLocal(slots, hostOfSlot, hostOfMember));
      }),
      { numRuns: 1000 },
    );
  });

  it("spreads over the members of a host, where all are on one", () => {
    const slots = Array.from({ length: 12 }, (_, partition) => partition % 3);
    const shares = sharePartitions(slots, sets(Array.from({ length: 4 }, () => [0, 1, 2])));
    expect(shares.map((share) => share.length)).toEqual([3, 3, 3, 3]);
  });

  it("leaves members without where there are more of them than partitions", () => {
    expect(sharePartitions([0, 0], sets([[], [0], [], [0]]))).toEqual([[], [0], [], [1]]);
    expect(sharePartitions([], sets([[0], [0]]))).toEqual([[], []]);
  });
});

/** What the bounds on sizes allow, host by host: base for each member of it, and as many of the extras as it can take. */
function mostLocal(slots: readonly number[], hostOfSlot: readonly number[], hostOfMember: readonly number[]): number {
  const base = Math.floor(slots.length / hostOfMember.length);
  let extras = slots.length % hostOfMember.length;
  let most = 0;
  for (const host of new Set(hostOfMember)) {
    const partitions = slots.filter((slot) => hostOfSlot[slot] === host).length;
    const members = hostOfMember.filter((other) => other === host).length;
    const atBase = Math.min(partitions, base * members);
    const above = Math.min(partitions - atBase, members, extras);
    extras -= above;
    most += atBase + above;
  }
  return most;
}
