// Administration of topics: what is created is listed and described; what is deleted is gone, with its space.
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Place, errorOf } from "./support.js";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

const names = async (): Promise<string[]> => (await place.job.listTopics()).map(({ name }) => name);
const directoryOf = (name: string): string => path.join(place.directory, "data", "topics", name);

describe("a topic that is deleted", () => {
  it("is gone with its files, also after a restart, and its name is free", async () => {
    const topic = await place.job.createTopic<{ n: number }>("short-lived", { partitions: 3 });
    await using out = await topic.producer();
    for (let n = 0; n < 100; n++) out.push({ n }, new Float64Array(1000));
    await out.close();
    expect(readdirSync(directoryOf("short-lived"))).toHaveLength(3);
    await place.job.deleteTopic("short-lived");
    expect(await names()).toEqual([]);
    expect(existsSync(path.join(directoryOf("short-lived"), "0"))).toBe(false);
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.topic("short-lived"));
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.deleteTopic("short-lived"));
    await place.restart();
    expect(await names()).toEqual([]);
    const again = await place.job.createTopic<{ n: number }>("short-lived", { partitions: 1 });
    const writer = await again.producer();
    writer.push({ n: 1 });
    await writer.close();
    for await (const event of again.consumer({ from: "earliest", until: "end" }))
      expect(event.metadata).toEqual({ n: 1 });
    await place.job.deleteTopic("short-lived");
  });

  it("ends its producers and consumers with an error that says so, and no others", async () => {
    const topic = await place.job.createTopic<{ n: number }>("under-way");
    const other = await place.job.createTopic<{ n: number }>("other");
    const out = await topic.producer();
    const otherOut = await other.producer();
    const consumer = topic.consumer({ from: "earliest" });
    out.push({ n: 1 });
    await out.flush();
    expect((await consumer.pull({ max: 1 })).map(({ metadata }) => metadata)).toEqual([{ n: 1 }]);
    const waiting = errorOf("WEFT_TOPIC_UNKNOWN", () => consumer.pull({ max: 1 }));
    await place.job.deleteTopic("under-way");
    out.push({ n: 2 });
    await errorOf("WEFT_TOPIC_UNKNOWN", () => out.flush());
    await waiting;
    await consumer.close();
    await out.close();
    otherOut.push({ n: 3 });
    await otherOut.close();
    await place.job.deleteTopic("other");
  }, 30_000);

  it("may be created at the same moment: one of the two is first", async () => {
    await place.job.createTopic("contested");
    const outcomes = await Promise.allSettled([
      place.job.deleteTopic("contested"),
      place.job.createTopic("contested", { partitions: 2 }),
      place.job.deleteTopic("contested"),
      place.job.createTopic("contested", { partitions: 2 }),
    ]);
    expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeGreaterThanOrEqual(1);
    for (const outcome of outcomes) {
      if (outcome.status === "fulfilled") continue;
      expect(["WEFT_TOPIC_UNKNOWN", "WEFT_TOPIC_EXISTS"]).toContain((outcome.reason as { code: string }).code);
    }
    if ((await names()).includes("contested")) await place.job.deleteTopic("contested");
  });
});

describe("a topic that is changed", () => {
  it("has more partitions for who opens it from then on, with all that it had, also after a restart", async () => {
    const topic = await place.job.createTopic<{ n: number }>("growing", { partitions: 2 });
    const out = await topic.producer({ name: "writer" });
    for (let n = 0; n < 10; n++) out.push({ n });
    await out.flush();
    await place.job.alterTopic("growing", { partitions: 5 });
    out.push({ n: 10 }); // one that has it open goes on in the partitions that it knows
    await out.close();
    await errorOf("WEFT_PARTITION_RANGE", () => topic.consumer({ partitions: [4] }));
    await place.restart();
    const grown = await place.job.topic<{ n: number }>("growing");
    expect(grown.partitionCount).toBe(5);
    await using writer = await grown.producer({ name: "writer" });
    for (let partition = 0; partition < 5; partition++) writer.push({ n: 11 + partition }, undefined, { partition });
    await writer.flush();
    const read: number[] = [];
    for await (const event of grown.consumer({ from: "earliest", until: "end" })) read.push(event.metadata.n);
    expect(read.sort((left, right) => left - right)).toEqual(Array.from({ length: 16 }, (_, n) => n));
    expect(readdirSync(directoryOf("growing"))).toHaveLength(5);
  });

  it("keeps what cannot be changed, with an error that names it", async () => {
    await place.job.createTopic("fixed", { partitions: 2 });
    const bad = { serializer: "raw" } as object;
    const { message } = await errorOf("WEFT_CONFIG_INVALID", () => place.job.alterTopic("fixed", bad));
    expect(message).toContain("'serializer' cannot be changed");
    await errorOf("WEFT_CONFIG_INVALID", () => place.job.alterTopic("fixed", { partitions: 1 }));
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.alterTopic("nothing", {}));
    await errorOf("WEFT_TOPIC_UNKNOWN", () => place.job.sealTopic("nothing"));
  });
});
