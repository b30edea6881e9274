// Changing topics over several slots: every crash in between, slots that are away, what may not be changed.
import { describe, expect, test } from "vitest";
import type { TopicChange } from "../../../src/control/topic-change.js";
import type { TopicDescription } from "../../../src/control/topic-description.js";
import { TestJob, type TestSlot, failureOf } from "./support.js";

interface TwoSlots {
  readonly zero: TestSlot;
  readonly one: TestSlot;
}

async function withTopic(config: object = { partitions: 2 }): Promise<TwoSlots> {
  const job = new TestJob();
  const [zero, one] = [job.addSlot(), job.addSlot()];
  for (const slot of [one, zero]) await slot.start();
  await zero.ask({ op: "topic.create", name: "quakes", config });
  return { zero, one };
}
async function alter({ zero }: TwoSlots, change: object): Promise<TopicDescription> {
  return ((await zero.ask({ op: "topic.alter", name: "quakes", change })) as { topic: TopicDescription }).topic;
}
async function seal({ zero }: TwoSlots): Promise<TopicDescription> {
  return ((await zero.ask({ op: "topic.seal", name: "quakes" })) as { topic: TopicDescription }).topic;
}
/** What every partition was told, and clients are. */
function descriptions({ zero, one }: TwoSlots): (TopicDescription | undefined)[] {
  return [...[...zero.told, ...one.told].map(([, topic]) => topic), zero.offered.get("quakes")];
}

describe("a change", () => {
  test("reaches every partition, the clients, and the next start", async () => {
    const slots = await withTopic({ partitions: 2, retention: { bytes: "1 GiB" } });
    const topic = await alter(slots, { retention: { ageMs: "7d", consumedBy: ["plots"] }, partitions: 5 });
    expect(topic.retention).toEqual({ ageMs: 7 * 86_400_000, consumedBy: ["plots"] });
    expect(topic.slots.slice(0, 2)).toEqual([0, 1]); // those that were there stay where they are
    expect(topic.slots).toHaveLength(5);
    const all = descriptions(slots);
    expect(all).toHaveLength(6);
    for (const each of all) expect(each).toEqual(topic);
    for (const slot of [slots.one, slots.zero]) await slot.start();
    for (const each of descriptions(slots)) expect(each).toEqual(topic);
    expect((await alter(slots, { retention: null })).retention).toBeUndefined();
  });

  test("leaves what it does not name, and of a seal what comes later", async () => {
    const slots = await withTopic({ producers: 3, producerTimeoutMs: "5s", options: { mine: 1 } });
    const sealed = await seal(slots);
    expect(sealed).toMatchObject({ sealed: true, producers: 3, producerTimeoutMs: 5000, options: { mine: 1 } });
    const topic = await alter(slots, { retention: { bytes: 1 } });
    expect(topic).toEqual({ ...sealed, retention: { bytes: 1 } });
    expect(await alter(slots, { producers: 4 })).toMatchObject({ producers: 4, producerTimeoutMs: 5000 });
    const without = await alter(slots, { producers: null });
    expect(without.producers ?? without.producerTimeoutMs).toBeUndefined();
  });

  test.each<[object, string]>([
    [{ durability: "synced" }, "'durability' cannot be changed"],
    [{ retensions: null }, "did you mean 'retention'?"],
    [{ retention: {} }, "retention: must NOT have fewer than 1 properties"],
    [{ retention: { bytes: "much" } }, 'retention.bytes: "much" is not understood'],
    [{ retention: { consumedBy: ["a", "a"] } }, "retention.consumedBy"],
    [{ retention: { consumedBy: ["a,b"] } }, "retention.consumedBy[0]"],
    [{ producers: 0 }, "producers: 0 is below 1"],
    [{ producerTimeoutMs: 5 }, "producerTimeoutMs: has no meaning without producers"],
    [{ partitions: 1 }, "1 are fewer than the 2 there are"],
    [{ partitions: 4097 }, "partitions: 4097 is above 4096"],
    [{ partitions: 3, slots: [0, 1] }, "does not name one slot for each of the 1 new partitions"],
    [{ partitions: 3, slots: [9] }, "there is no slot 9"],
  ])("that cannot be is refused, and nothing is changed: %j", async (change, words) => {
    const slots = await withTopic();
    const before = slots.zero.catalogue?.get("quakes");
    const { code, message } = await failureOf(() => alter(slots, change));
    expect(code).toBe("WEFT_CONFIG_INVALID");
    expect(message).toContain(words);
    expect(slots.zero.catalogue?.get("quakes")).toBe(before);
  });

  test("new partitions are for topics that take events and do not count their producers", async () => {
    const counted = await withTopic({ producers: 1 });
    expect((await failureOf(() => alter(counted, { partitions: 2 }))).message).toContain("its producers are counted");
    const slots = await withTopic();
    await seal(slots);
    expect((await failureOf(() => alter(slots, { partitions: 3 }))).message).toContain("it is sealed");
  });

  test("of no topic is WEFT_TOPIC_UNKNOWN", async () => {
    const { zero } = await withTopic();
    expect((await failureOf(() => zero.ask({ op: "topic.seal", name: "quake" }))).code).toBe("WEFT_TOPIC_UNKNOWN");
  });

  test("several at a time come one after another", async () => {
    const slots = await withTopic();
    await Promise.all([alter(slots, { partitions: 3 }), seal(slots), alter(slots, { retention: { bytes: 5 } })]);
    for (const each of descriptions(slots)) {
      expect(each).toMatchObject({ partitions: 3, sealed: true, retention: { bytes: 5 } });
    }
  });

  test("with a slot away changes nothing; with one that goes in the middle it is finished when asked again", async () => {
    const slots = await withTopic();
    slots.one.away = true;
    const { code, message } = await failureOf(() => seal(slots));
    expect(code).toBe("WEFT_PARTITION_UNAVAILABLE");
    expect(message).toContain("topic 'quakes' was not changed: slot 1");
    expect(slots.zero.catalogue?.get("quakes")?.topic.sealed).toBeUndefined();
    slots.one.away = false;
    slots.one.awayAfterPing = true;
    expect((await failureOf(() => seal(slots))).code).toBe("WEFT_PARTITION_UNAVAILABLE");
    expect(slots.zero.catalogue?.get("quakes")?.state).toBe("altering");
    slots.one.awayAfterPing = false;
    slots.one.away = false;
    await seal(slots);
    expect(slots.zero.catalogue?.get("quakes")?.state).toBe("created");
    for (const each of descriptions(slots)) expect(each?.sealed).toBe(true);
  });
});

test("a topic that is deleted takes its steps with it, and no other topic of such a name", async () => {
  const { zero } = await withTopic();
  await zero.ask({ op: "topic.create", name: "quakes.steps", config: { options: { stepsOf: "quakes" } } });
  await zero.ask({ op: "topic.create", name: "mine" });
  await zero.ask({ op: "topic.create", name: "mine.steps" });
  await zero.ask({ op: "topic.delete", name: "quakes" });
  await zero.ask({ op: "topic.delete", name: "mine" });
  expect([...zero.offered.keys()]).toEqual(["mine.steps"]);
});

describe("a crash while a topic is changed", () => {
  const change: TopicChange = { retention: { bytes: 4096 }, partitions: 4 };

  // Slot 0 dies at each of its file operations in turn; in every second round all slots lose power with it.
  test("leaves it as it was or as it is to be, on all slots alike", async () => {
    let finished = false;
    const seen = new Set<string>();
    for (let diesAt = 0; !finished; diesAt++) {
      for (const power of [false, true]) {
        const slots = await withTopic();
        const { zero, one } = slots;
        zero.files.diesAt = zero.files.operations + diesAt;
        let answered = false;
        try {
          await zero.topics?.alter("quakes", change);
          answered = true;
        } catch {
          // died
        }
        finished ||= answered && zero.files.operations <= zero.files.diesAt;
        zero.files.revive();
        if (power) for (const slot of [zero, one]) slot.files.losePower();
        await one.start();
        await zero.start();
        const context = `died at operation ${diesAt}${power ? ", power lost" : ""}`;
        const entry = zero.catalogue?.get("quakes");
        expect(entry?.state, context).toBe("created");
        const isChanged = entry?.topic.partitions === 4;
        if (answered) expect(isChanged, context).toBe(true);
        seen.add(`${isChanged} ${answered}`);
        const all = descriptions(slots);
        expect(all, context).toHaveLength(isChanged ? 5 : 3);
        for (const each of all) expect(each, context).toEqual(entry?.topic);
        expect((await alter(slots, change)).partitions, context).toBe(4);
      }
    }
    expect(seen).toEqual(new Set(["false false", "true false", "true true"]));
  });
});
