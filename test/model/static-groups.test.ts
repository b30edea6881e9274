// Static groups: members read a topic's partitions among themselves. By rank and size in this process, and over a
// communicator with real ranks under each MPI (test/programs/static-group.ts); what a member without a partition sees.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type ConsumerOptions, type Topic, attach, nothing } from "../../src/index.js";
import { launchers } from "../integration/support/launchers.js";
import { Workplace, parseLines } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

const programs =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));

interface Numbered {
  readonly n: number;
}
interface Seen {
  readonly partitions: readonly number[];
  readonly numbers: readonly number[];
}
const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("of { rank, size }", () => {
  const partitionCount = 7;
  const eventCount = 140;
  let place: Place;
  let topic: Topic<Numbered>;
  beforeAll(async () => {
    place = await Place.open();
    topic = await place.job.createTopic<Numbered>("numbers", { partitions: partitionCount });
    await using out = await topic.producer();
    for (let n = 0; n < eventCount; n++) out.push({ n }, undefined, { partition: n % partitionCount });
    await out.flush();
  });
  afterAll(async () => {
    await place.close();
  });

  async function read(options: ConsumerOptions<Numbered>): Promise<number[]> {
    await using consumer = topic.consumer({ until: "end", ...options });
    const numbers: number[] = [];
    for await (const event of consumer) {
      numbers.push(event.metadata.n);
      event.ack();
    }
    return numbers;
  }

  it.each([1, 2, 3, 7, 10])("%i members read each partition exactly once, p where p %% size is", async (size) => {
    const seen = await Promise.all(
      upTo(size).map(async (rank) => await read({ name: `of-${size}`, share: { rank, size } })),
    );
    expect(ascending(seen.flat())).toEqual(upTo(eventCount));
    for (const [rank, numbers] of seen.entries()) {
      expect(new Set(numbers.map((n) => (n % partitionCount) % size))).toEqual(
        new Set(numbers.length > 0 ? [rank] : []),
      );
    }
    // Their cursors are one name's: whoever opens it next has nothing left.
    expect(await read({ name: `of-${size}` })).toEqual([]);
  });

  it("a member without a partition ends at once with what is there, an offset, or a time that has passed", async () => {
    const share = { rank: 8, size: 9 };
    for (const until of ["end", { offset: 5 }, { time: new Date() }, { timeNs: 0n }] as const) {
      const consumer = topic.consumer({ share, name: "idle", until, select: nothing });
      expect(await consumer.pull()).toEqual([]);
      expect(consumer.ended).toBe(true);
      expect(await consumer.lag()).toEqual([]);
      await consumer.commit();
      await consumer.close();
      await errorOf("WEFT_CLOSED", () => consumer.pull());
    }
    const end = Date.now() + 300;
    expect(await read({ share, until: { time: new Date(end) } })).toEqual([]);
    expect(Date.now()).toBeGreaterThanOrEqual(end);
  });

  it("a member without a partition waits for its signal, or for close", async () => {
    const share = { rank: 8, size: 9 };
    const consumer = topic.consumer({ share });
    expect(await consumer.pull({ timeoutMs: 0 })).toEqual([]);
    expect(await consumer.pull({ timeoutMs: 20 })).toEqual([]);
    expect(consumer.ended).toBe(false);
    const stop = new AbortController();
    const pulled = errorOf("WEFT_CANCELLED", () => consumer.pull({ signal: stop.signal }));
    stop.abort();
    await pulled;
    const iterated = errorOf("WEFT_CLOSED", async () => {
      for await (const event of consumer) event.ack();
    });
    await consumer.close();
    await iterated;

    const job = await attach(place.server.group);
    const waiting = (await job.topic<Numbered>("numbers")).consumer({ share });
    await waiting.open();
    const closedWith = errorOf("WEFT_CLOSED", () => waiting.pull());
    await job.close();
    await closedWith;
  });

  it("goes on after a restart of the servers, where another number of members takes over", async () => {
    const first = topic.consumer({ name: "taken-over", share: { rank: 0, size: 2 }, until: "end" });
    const events = await first.pull({ max: 30 });
    const taken = events.map(({ metadata }) => metadata.n);
    for (const event of events) event.ack();
    await first.close();
    await place.restart();
    topic = await place.job.topic<Numbered>("numbers");
    const seen = await Promise.all(
      upTo(3).map(async (rank) => await read({ name: "taken-over", share: { rank, size: 3 } })),
    );
    expect(taken.length).toBeGreaterThan(0);
    expect(ascending([...taken, ...seen.flat()])).toEqual(upTo(eventCount));
  });

  it("says what is nonsense, before anything is asked for", async () => {
    const bad: unknown[] = [
      ...[null, 0, 3, "0/2", [], [0, 2], {}, { rank: 0 }, { size: 2 }],
      ...[
        { rank: 2, size: 2 },
        { rank: -1, size: 2 },
        { rank: 0, size: 0 },
      ],
      ...[
        { rank: 0.5, size: 2 },
        { rank: 0, size: 2 ** 31 },
        { rank: "0", size: 2 },
        { rank: 0, size: 2, of: 3 },
      ],
    ];
    for (const share of bad) {
      const error = await errorOf("WEFT_INVALID_ARGUMENT", () =>
        topic.consumer({ share } as ConsumerOptions<Numbered>),
      );
      expect(error.message).toContain("share");
    }
    const both = { share: { rank: 0, size: 2 }, partitions: [0] };
    const error = await errorOf("WEFT_INVALID_ARGUMENT", () => topic.consumer(both));
    expect(error.message).toContain("share or partitions");
  });
});

describe.each(launchers)("of a communicator, under $mpi", ({ program: mpiexec, argv, env, there }) => {
  const memberCount = 3;

  it.skipIf(!there)("its ranks read each partition once, as evenly as can be, from two servers", async () => {
    const place = new Workplace();
    const node = [process.execPath, `${programs}/static-group.js`];
    const servers = [0, 1].flatMap((slot) => ["-n", "1", ...node, "serve", place.path(`weft-${slot}`), ":"]);
    const launch = place.startProgram(mpiexec, [...argv, ...servers, "-n", `${memberCount}`, ...node], { env });
    const deadline = setTimeout(() => launch.child.kill("SIGTERM"), 90_000);
    const { exitCode, output, words } = await launch.finished;
    clearTimeout(deadline);
    await place.close();
    expect(exitCode, words + output.toString()).toBe(0);
    const members = parseLines<
      Record<"many" | "again" | "few" | "byRank" | "after", Seen> & { rank: number; other: string }
    >(output).sort((left, right) => left.rank - right.rank);
    expect(members.map(({ rank }) => rank)).toEqual(upTo(memberCount));

    const sizes = (of: "many" | "few" | "byRank"): number[] => members.map((member) => member[of].partitions.length);
    for (const [of, partitions] of [
      ["many", 8],
      ["few", 2],
      ["byRank", 8],
      ["after", 2],
    ] as const) {
      expect(ascending(members.flatMap((member) => member[of].partitions))).toEqual(upTo(partitions));
      expect(ascending(members.flatMap((member) => member[of].numbers))).toEqual(upTo(partitions * 20));
      for (const member of members) {
        const own = new Set(member[of].numbers.map((n) => n % partitions));
        expect(own).toEqual(new Set(member[of].partitions));
      }
    }
    expect(ascending(sizes("many"))).toEqual([2, 3, 3]);
    expect(ascending(sizes("few"))).toEqual([0, 1, 1]);
    for (const { rank, byRank, many, again, other } of members) {
      expect(byRank.partitions).toEqual(upTo(8).filter((partition) => partition % memberCount === rank));
      expect(again).toEqual({ partitions: many.partitions, numbers: [] });
      expect(other).toContain("WEFT_INVALID_ARGUMENT: the ranks of share opened different topics: rank 0 'many'");
    }
  });
});
