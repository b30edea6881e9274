// What a job costs: the model by hand in a small case, and that nothing of one process grows with ranks squared.
import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { type Job, fixed, jobOn, machines, measured, predict, slotListBytes } from "../../../../bench/scaling/model.js";

const job = (change: Partial<Job> = {}): Job => ({
  ...{ clients: 4, ranks: 6, servers: 2, partitions: 8, partitionsProducedTo: 8, partitionsRead: 1, isOneHost: false },
  ...change,
});

describe("predict", () => {
  it("is what can be counted by hand", () => {
    const cost = predict(job());
    expect(cost.clientConnectionsAtJoin).toBe(2);
    expect(cost.sessionsOfFirst).toBe(4);
    expect(cost.sessionsOfOther).toBe(4);
    expect(cost.producersOfServer).toBe(16);
    expect(cost.clientRingBytes).toBe(4 * 2 ** 20);
    expect(cost.cursorBytes).toBe(8 * 64 + 4 * 256);
    const servers = 2 * (fixed.serverCardBytes + measured.addressBytes) + measured.groupPathBytes;
    expect(cost.exchangeBytes).toBe(6 * 44 + 48 + servers);
  });

  it("gives clients from outside the MPI world no exchange", () => {
    expect(predict(job({ ranks: 0 })).exchangeBytes).toBe(0);
  });

  it("bounds what a client is connected to, however many servers there are", () => {
    const cost = predict(job({ clients: 8000, servers: 1000, partitions: 1000, partitionsProducedTo: 1 }));
    expect(cost.clientConnectionsAtJoin).toBe(16);
    expect(cost.clientConnections).toBe(16 + 16 + 1);
    expect(cost.sessionsOfOther).toBeLessThan(8000 / 50);
  });

  it("grows at most as ranks do, in each process, when nodes are added", () => {
    const anyMachine = fc.constantFrom(...machines);
    fc.assert(
      fc.property(anyMachine, fc.integer({ min: 40, max: 2000 }), (machine, nodes) => {
        const one = predict(jobOn(machine, nodes));
        const two = predict(jobOn(machine, 2 * nodes));
        const ofAProcess = (cost: typeof one): Record<string, number> => {
          const { heartbeatsPerSecond, joinMessages, joinMessageBytes, ...rest } = cost;
          return { ...rest, heartbeatsOfAll: heartbeatsPerSecond, joinMessages, joinMessageBytes };
        };
        for (const [what, amount] of Object.entries(ofAProcess(two))) {
          // A list of slots gets a digit longer; what all processes have together doubles with them.
          expect(amount, what).toBeLessThanOrEqual(2.5 * (ofAProcess(one)[what] ?? 0));
        }
      }),
    );
  });
});

describe("slotListBytes", () => {
  it("is the length of the list as JSON has it, with one comma more", () => {
    const list = Array.from({ length: 64 }, (_, partition) => partition % 20);
    expect(slotListBytes(20, 64)).toBe(list.join(",").length + 1);
  });
});
