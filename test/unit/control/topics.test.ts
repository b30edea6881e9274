// Creating topics over several slots: both phases, every crash in between, slots that are away, repeated requests.
import { describe, expect, test } from "vitest";
import { WeftError } from "../../../src/errors.js";
import type { TopicDescription } from "../../../src/control/topic-description.js";
import { failureOf, MemoryFiles, TestJob } from "./support.js";

async function twoSlots(): Promise<TestJob> {
  const job = new TestJob();
  job.addSlot();
  job.addSlot();
  for (const slot of [...job.slots].reverse()) await slot.start();
  return job;
}

function slotZero(job: TestJob) {
  const [slot] = job.slots;
  if (!slot) throw new Error("a job has slots");
  return slot;
}

async function create(job: TestJob, request: object): Promise<{ topic: TopicDescription; created: boolean }> {
  return (await slotZero(job).ask({ op: "topic.create", ...request })) as never;
}

describe("creating a topic", () => {
  test("puts partitions on the slots in turn, and offers it to clients when all are there", async () => {
    const job = await twoSlots();
    const { topic, created } = await create(job, { name: "quakes", config: { partitions: 3, durability: "synced" } });
    expect(created).toBe(true);
    expect(topic).toMatchObject({ name: "quakes", partitions: 3, durability: "synced", slots: [0, 1, 0] });
    expect([...slotZero(job).open]).toEqual(["quakes/0", "quakes/2"]);
    expect([...(job.slots[1]?.open ?? [])]).toEqual(["quakes/1"]);
    expect(slotZero(job).offered.get("quakes")).toEqual(topic);
    // Topics of one partition do not all land on one slot.
    expect((await create(job, { name: "second" })).topic.slots).toEqual([1]);
    expect((await create(job, { name: "third", config: { slots: [1] } })).topic.slots).toEqual([1]);
  });

  test("is WEFT_TOPIC_EXISTS the second time, but the same request id gets the same answer, also after a restart", async () => {
    const job = await twoSlots();
    const first = await create(job, { name: "quakes", requestId: "mine" });
    expect(await create(job, { name: "quakes", requestId: "mine" })).toEqual(first);
    const error = await failureOf(() => create(job, { name: "quakes", requestId: "other" }));
    expect(error.code).toBe("WEFT_TOPIC_EXISTS");
    expect(error.message).toContain("'quakes'");
    await slotZero(job).start();
    expect(await create(job, { name: "quakes", requestId: "mine" })).toEqual(first);
    expect((await failureOf(() => create(job, { name: "quakes" }))).code).toBe("WEFT_TOPIC_EXISTS");
  });

  test("requests for one name at the same time: one creates, the same id shares, others are refused", async () => {
    const job = await twoSlots();
    const results = await Promise.allSettled([
      create(job, { name: "quakes", requestId: "a" }),
      create(job, { name: "quakes", requestId: "a" }),
      create(job, { name: "quakes", requestId: "b" }),
      create(job, { name: "quakes", requestId: "c", ifExists: "open" }),
    ]);
    const [first, same, other, opened] = results;
    if (first?.status !== "fulfilled" || same?.status !== "fulfilled" || opened?.status !== "fulfilled") {
      throw new Error(JSON.stringify(results));
    }
    expect(same.value).toEqual(first.value);
    expect(opened.value).toEqual({ topic: first.value.topic, created: false });
    expect(other?.status).toBe("rejected");
  });

  test("ifExists open names the member that differs, and minds only what was asked for", async () => {
    const job = await twoSlots();
    await create(job, { name: "quakes", config: { partitions: 2, segmentBytes: "64 MiB" } });
    const open = (config: object) => create(job, { name: "quakes", config, ifExists: "open" });
    expect((await open({})).created).toBe(false);
    expect((await open({ partitions: 2, segmentBytes: 64 * 1024 * 1024 })).created).toBe(false);
    const { code, message } = await failureOf(() => open({ partitions: 4 }));
    expect(code).toBe("WEFT_TOPIC_EXISTS");
    expect(message).toContain("partitions 2, not 4");
  });

  test("with a slot away leaves nothing behind, names the slot, and works when it is back", async () => {
    const job = await twoSlots();
    const [zero, one] = job.slots;
    if (!zero || !one) throw new Error("two slots");
    one.away = true;
    const { code, message } = await failureOf(() => create(job, { name: "quakes", config: { partitions: 2 } }));
    expect(code).toBe("WEFT_PARTITION_UNAVAILABLE");
    expect(message).toContain("slot 1");
    expect(zero.open.size).toBe(0);
    expect(zero.files.below("/slot0/topics")).toEqual([]);
    expect(zero.offered.size).toBe(0);
    expect((await failureOf(() => zero.ask({ op: "topic.describe", name: "quakes" }))).code).toBe("WEFT_TOPIC_UNKNOWN");
    // It was not even recorded: nothing waits for slot 1.
    expect(zero.catalogue?.get("quakes")).toBeUndefined();
    one.away = false;
    expect((await create(job, { name: "quakes", config: { partitions: 2 } })).created).toBe(true);
    // Other names never waited.
    one.away = true;
    expect((await create(job, { name: "local", config: { slots: [0] } })).created).toBe(true);
  });

  test("with a slot that goes away meanwhile keeps the name until that slot can be asked", async () => {
    const job = await twoSlots();
    const [zero, one] = job.slots;
    if (!zero || !one) throw new Error("two slots");
    one.awayAfterPing = true;
    const config = { partitions: 2 };
    expect((await failureOf(() => create(job, { name: "quakes", config }))).code).toBe("WEFT_PARTITION_UNAVAILABLE");
    expect(zero.open.size).toBe(0);
    expect(zero.catalogue?.get("quakes")?.state).toBe("removing");
    const { code, message } = await failureOf(() => create(job, { name: "quakes", config }));
    expect(code).toBe("WEFT_PARTITION_UNAVAILABLE");
    expect(message).toContain("slot 1 cannot be asked");
    one.away = one.awayAfterPing = false;
    expect((await create(job, { name: "quakes", config })).created).toBe(true);
  });

  test("a partition that cannot be opened undoes the topic on all slots, with the cause", async () => {
    const job = await twoSlots();
    job.slots[1]?.refuses.set("quakes/1", new WeftError("WEFT_NO_SPACE", "the device is full"));
    const { code, message } = await failureOf(() => create(job, { name: "quakes", config: { partitions: 4 } }));
    expect(code).toBe("WEFT_NO_SPACE");
    expect(message).toMatch(/slot 1.*device is full/);
    for (const slot of job.slots) {
      expect([...slot.open]).toEqual([]);
      expect(slot.files.below(`${slot.data}/topics`)).toEqual([]);
    }
    job.slots[1]?.refuses.clear();
    expect((await create(job, { name: "quakes" })).created).toBe(true);
  });

  test("bad configs name the member", async () => {
    const job = await twoSlots();
    for (const [config, words] of [
      [{ partitions: 0 }, "partitions: 0 is below 1"],
      [{ durabilty: "synced" }, 'did you mean "durability"?'],
      [{ storage: "memory", durability: "synced" }, 'storage "memory" knows only "memory"'],
      [{ segmentBytes: "1 parsec" }, "segmentBytes"],
      [{ partitions: 2, slots: [0] }, "1 slots for 2 partitions"],
      [{ slots: [7] }, "slot 7"],
      [{ options: { text: "x".repeat(20_000) } }, "at most 16384"],
    ] as const) {
      const { code, message } = await failureOf(() => create(job, { name: "bad", config }));
      expect(["WEFT_CONFIG_INVALID", "WEFT_INVALID_ARGUMENT"]).toContain(code);
      expect(message).toContain(words);
    }
    for (const name of ["", ".hidden", "a/b", "x".repeat(201), "naïve"]) {
      expect((await failureOf(() => create(job, { name }))).code).toBe("WEFT_INVALID_ARGUMENT");
    }
  });

  test("a slot without a data directory holds topics in memory only", async () => {
    const job = new TestJob();
    job.addSlot(new MemoryFiles(), false);
    await slotZero(job).start();
    const { code, message } = await failureOf(() => create(job, { name: "quakes" }));
    expect(code).toBe("WEFT_UNSUPPORTED");
    expect(message).toContain("no data directory");
    expect((await create(job, { name: "quakes", config: { storage: "memory" } })).topic.durability).toBe("memory");
    expect(slotZero(job).files.files.size).toBe(0);
  });

  test("as many partitions as there may be, over the limit of one request", async () => {
    const job = await twoSlots();
    const { topic } = await create(job, { name: "wide", config: { partitions: 1200, storage: "memory" } });
    expect(topic.slots).toHaveLength(1200);
    expect(job.slots[1]?.open.size).toBe(600);
  });
});

describe("a crash while a topic is created", () => {
  // Slot 0 dies at each of its file operations in turn; in every second round all slots lose power with it.
  test("leaves it on all slots or on none, and keeps what was answered", async () => {
    let finished = false;
    let half = 0;
    for (let diesAt = 0; !finished; diesAt++) {
      for (const power of [false, true]) {
        const job = await twoSlots();
        const [zero, one] = job.slots;
        if (!zero || !one) throw new Error("two slots");
        await create(job, { name: "before", config: { partitions: 2 } });
        zero.files.diesAt = zero.files.operations + diesAt;
        let answered = false;
        try {
          await zero.topics?.create({
            name: "quakes",
            config: { partitions: 4, slots: [0, 1, 0, 1] },
            requestId: "mine",
          });
          answered = true;
        } catch {
          // died
        }
        finished ||= answered && zero.files.operations <= zero.files.diesAt;
        zero.files.revive();
        if (power) for (const slot of job.slots) slot.files.losePower();
        await one.start();
        await zero.start();
        const context = `died at operation ${diesAt}${power ? ", power lost" : ""}`;
        const entry = zero.catalogue?.get("quakes");
        expect(["created", undefined], context).toContain(entry?.state);
        if (answered) expect(entry?.state, context).toBe("created");
        const there = entry !== undefined;
        const expected = (...partitions: number[]) => (there ? partitions.map((each) => `quakes/${each}`) : []);
        expect([...zero.open].filter((each) => each.startsWith("q")).sort(), context).toEqual(expected(0, 2));
        expect([...one.open].filter((each) => each.startsWith("q")).sort(), context).toEqual(expected(1, 3));
        if (!there) {
          for (const slot of job.slots) expect(slot.files.below(`${slot.data}/topics/quakes`), context).toEqual([]);
        }
        expect(zero.offered.has("quakes"), context).toBe(there);
        expect(zero.offered.has("before"), context).toBe(true);
        if (there && !answered) half++;
        // Whoever asked does not know; the same request brings certainty.
        const again = await create(job, { name: "quakes", config: { partitions: 4 }, requestId: "mine" });
        expect(again.topic.slots, context).toHaveLength(4);
      }
    }
    expect(half).toBeGreaterThan(5);
  });

  test("with the other slot away afterwards, it is removed here at once and there when the slot is back", async () => {
    const job = await twoSlots();
    const [zero, one] = job.slots;
    if (!zero || !one) throw new Error("two slots");
    // It dies when it records "created": everything else is done.
    const config = { partitions: 2, slots: [0, 1] };
    const before = zero.files.operations;
    await create(job, { name: "probe", config });
    const steps = zero.files.operations - before;
    zero.files.diesAt = zero.files.operations + steps - 2;
    await zero.topics?.create({ name: "quakes", config }).catch(() => undefined);
    expect(one.open.has("quakes/1")).toBe(true);
    zero.files.revive();
    one.away = true;
    await zero.start();
    expect(zero.catalogue?.get("quakes")?.state).toBe("removing");
    expect(zero.open.has("quakes/0")).toBe(false);
    expect(zero.warnings().join("\n")).toContain("quakes was half created");
    // The slot comes back with its part on record, slot 0 starts again: nothing is left.
    one.away = false;
    await one.start();
    expect(one.open.has("quakes/1")).toBe(true);
    await zero.start();
    expect(zero.catalogue?.get("quakes")).toBeUndefined();
    expect(one.open.has("quakes/1")).toBe(false);
    expect(one.files.below("/slot1/topics/quakes")).toEqual([]);
  });
});

describe("a slot at start", () => {
  test("opens its partitions without asking; a damaged record costs that partition only", async () => {
    const job = await twoSlots();
    await create(job, { name: "quakes", config: { partitions: 4 } });
    const one = job.slots[1];
    if (!one) throw new Error("two slots");
    const path = "/slot1/topics/quakes/1/partition.json";
    const record = one.files.files.get(path);
    if (!record) throw new Error("the record is there");
    const good = Buffer.from(record.bytes);
    for (let at = 0; at < good.length; at += 11) {
      record.bytes = Buffer.from(good);
      record.bytes[at] = (record.bytes[at] ?? 0) ^ 0x10;
      await one.start();
      expect([...one.open], `byte ${at}`).toEqual(["quakes/3"]);
      expect(one.warnings().join("\n")).toContain(path);
      expect(one.files.files.has(path)).toBe(true);
    }
    record.bytes = good;
    await one.start();
    expect([...one.open].sort()).toEqual(["quakes/1", "quakes/3"]);
  });

  test("a partition that cannot be opened is unavailable, and nothing else", async () => {
    const job = await twoSlots();
    await create(job, { name: "quakes", config: { partitions: 4 } });
    const zero = slotZero(job);
    zero.refuses.set("quakes/2", new WeftError("WEFT_IO", "input/output error"));
    await zero.start();
    expect([...zero.open]).toEqual(["quakes/0"]);
    const uuid = zero.catalogue?.get("quakes")?.topic.uuid;
    const { partitions } = await zero.ask({ op: "partition.state", uuid, partitions: [0, 1, 2] });
    expect(partitions).toMatchObject([
      { partition: 0, state: "open", firstOffset: 0, nextOffset: 7 },
      { partition: 1, state: "absent" },
      { partition: 2, state: "failed", error: expect.stringContaining("input/output error") as string },
    ]);
  });

  test("partitions of a topic that the catalogue does not know are left alone, with a warning", async () => {
    const job = await twoSlots();
    await create(job, { name: "quakes" });
    const zero = slotZero(job);
    zero.files.files.delete("/slot0/catalogue");
    await zero.start();
    expect([...zero.open]).toEqual(["quakes/0"]);
    expect(zero.warnings().join("\n")).toContain("left alone");
    const { code } = await failureOf(() => create(job, { name: "quakes" }));
    expect(code).toBe("WEFT_TOPIC_EXISTS");
    expect(zero.files.files.has("/slot0/topics/quakes/0/partition.json")).toBe(true);
  });

  test("files that no record claims are never taken over by a new topic", async () => {
    const job = await twoSlots();
    const zero = slotZero(job);
    zero.files.files.set("/slot0/topics/quakes/0/metadata/0.log", {
      bytes: Buffer.from("x"),
      synced: Buffer.from("x"),
    });
    const { code, message } = await failureOf(() => create(job, { name: "quakes" }));
    expect(code).toBe("WEFT_TOPIC_EXISTS");
    expect(message).toContain("/slot0/topics/quakes/0");
    expect(zero.files.below("/slot0/topics")).toEqual(["/slot0/topics/quakes/0/metadata/0.log"]);
  });

  test("with directories elsewhere, links beside the record lead there, and removal removes both", async () => {
    const job = new TestJob();
    job.addSlot();
    const zero = slotZero(job);
    await zero.start();
    await create(job, { name: "field", config: { dataDirectory: "/fast", metadataDirectory: "/safe" } });
    expect(zero.files.files.get("/slot0/topics/field/0/data")?.bytes.toString()).toBe("/fast/field/0");
    expect(zero.files.files.get("/slot0/topics/field/0/metadata")?.bytes.toString()).toBe("/safe/field/0");
    zero.refuses.set("other/0", new WeftError("WEFT_IO", "no"));
    await failureOf(() => create(job, { name: "other", config: { dataDirectory: "/fast" } }));
    expect(zero.files.directories.has("/fast/other/0")).toBe(false);
    expect(zero.files.directories.has("/fast/field/0")).toBe(true);
  });

  // A topic.create that failed, because another job had the directory, deleted that job's data.
  test("with a directory elsewhere that another job's topic of that name owns, undoing leaves that as it is", async () => {
    const job = new TestJob();
    job.addSlot();
    const zero = slotZero(job);
    await zero.start();
    const put = (path: string, text: string): void => {
      const bytes = Buffer.from(text);
      zero.files.files.set(path, { bytes, synced: bytes });
    };
    put("/fast/field/0/owner", "11111111-2222-3333-4444-555555555555/0\n");
    put("/fast/field/0/00000000000000000001.data", "theirs");
    zero.refuses.set("field/0", new WeftError("WEFT_TOPIC_EXISTS", "/fast/field/0 belongs to another"));
    await failureOf(() => create(job, { name: "field", config: { dataDirectory: "/fast" } }));
    expect(zero.files.below("/fast")).toEqual(["/fast/field/0/00000000000000000001.data", "/fast/field/0/owner"]);
    expect(zero.files.below("/slot0/topics")).toEqual([]);
  });

  test("a directory elsewhere is removed by its owner, with everything in it", async () => {
    const job = new TestJob();
    job.addSlot();
    const zero = slotZero(job);
    await zero.start();
    await create(job, { name: "field", config: { dataDirectory: "/fast" } });
    const uuid = zero.catalogue?.get("field")?.topic.uuid ?? "";
    const bytes = Buffer.from(`${uuid}/0\n`);
    zero.files.files.set("/fast/field/0/owner", { bytes, synced: bytes });
    zero.files.files.set("/fast/field/0/00000000000000000001.data", { bytes, synced: bytes });
    expect(await zero.partitions.remove("field", uuid, [0])).toEqual([0]);
    expect(zero.files.below("/fast")).toEqual([]);
    expect(zero.files.directories.has("/fast/field/0")).toBe(false);
  });
});
