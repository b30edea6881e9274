// Partition selectors: which partition an event goes to, as the topic or the producer says.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { EncodedJson, type Topic } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

interface Reading {
  readonly station: { readonly id: string | number | boolean };
  readonly n: number;
}

/** The numbers of the events of each partition, in their order. */
async function numbersIn(topic: Topic<Reading>): Promise<number[][]> {
  const numbers = Array.from({ length: topic.partitionCount }, (): number[] => []);
  for await (const event of topic.consumer({ from: "earliest", until: "end" })) {
    numbers[event.partition]?.push(event.metadata.n);
  }
  return numbers;
}

const reading = (id: string | number | boolean, n: number): Reading => ({ station: { id }, n });

describe("a partition selector", () => {
  it("is round robin if nothing else is said", async () => {
    const topic = await place.job.createTopic<Reading>("round-robin", { partitions: 3 });
    const out = await topic.producer();
    for (let n = 0; n < 9; n++) out.push(reading("a", n));
    await out.close();
    for (const numbers of await numbersIn(topic)) expect(numbers).toHaveLength(3);
  });

  it("hashes the value at a JSON pointer: events of a key stay together and in order, in every process", async () => {
    const config = { partitions: 4, partitionSelector: { keyAt: "/station/id" } };
    const topic = await place.job.createTopic<Reading>("pointer", config);
    const keys = ["hilo", "kona", "puna", 7, true, "7"];
    const out = await topic.producer();
    const text = await place.job.createTopic<unknown>("pointer-text", config);
    const asText = await text.producer();
    for (let n = 0; n < 60; n++) {
      const event = reading(keys[n % keys.length] ?? "", n);
      out.push(event);
      asText.push(new EncodedJson(JSON.stringify(event)));
    }
    await out.close();
    await asText.close();
    const numbers = await numbersIn(topic);
    for (const key of keys) {
      const of = numbers.filter((inside) => inside.some((n) => keys[n % keys.length] === key));
      expect(of).toHaveLength(1);
      expect(of[0]).toEqual([...(of[0] ?? [])].sort((a, b) => a - b));
    }
    expect(numbers.filter((inside) => inside.length > 0).length).toBeGreaterThan(1);
    expect(await numbersIn(text as Topic<Reading>)).toEqual(numbers);
    // As a key that is given: C clients and others agree.
    const given = await place.job.createTopic<Reading>("key", { partitions: 4, partitionSelector: "key-hash" });
    const withKeys = await given.producer();
    for (let n = 0; n < 60; n++) {
      const key = keys[n % keys.length] ?? "";
      withKeys.push(reading(key, n), undefined, { key: String(key) });
    }
    await withKeys.close();
    expect(await numbersIn(given)).toEqual(numbers);
  });

  it("says what is wrong where there is no key, and takes one that is given", async () => {
    const topic = await place.job.createTopic<unknown>("no-key", {
      partitions: 2,
      partitionSelector: { keyAt: "/a~1b/0" },
    });
    const out = await topic.producer();
    for (const metadata of [{}, null, 3, { "a/b": [] }, { "a/b": [{}] }, { "a/b": [null] }]) {
      const error = await errorOf("WEFT_METADATA_INVALID", () => out.push(metadata));
      expect(error.message).toContain("/a~1b/0");
    }
    out.push({ "a/b": ["key"] });
    out.push({}, undefined, { key: "key" });
    out.push({}, undefined, { partition: 1 });
    await out.flush();
    expect(out.stored).toBe(3);
    await out.close();
  });

  it("may be a module, also after the servers were started again", async () => {
    const module = place.file(
      "by-size.mjs",
      `export default ({ large }) => (metadata, partitionCount, data) => (data.bytes >= large ? partitionCount - 1 : 0);`,
    );
    await place.job.createTopic<Reading>("module", {
      partitions: 3,
      partitionSelector: { module, options: { large: 100 } },
    });
    await place.restart();
    const topic = await place.job.topic<Reading>("module");
    const out = await topic.producer();
    for (let n = 0; n < 10; n++) out.push(reading("a", n), new Uint8Array(n % 2 === 0 ? 100 : 99));
    await out.close();
    expect(await numbersIn(topic)).toEqual([[1, 3, 5, 7, 9], [], [0, 2, 4, 6, 8]]);
    place.file("by-size.mjs", "export default () => () => 0;");
    const error = await errorOf("WEFT_MODULE", () => topic.producer());
    expect(error.message).toContain("partitionSelector");
  });

  it("may be each producer's own", async () => {
    const topic = await place.job.createTopic<Reading>("own", { partitions: 2, partitionSelector: "custom" });
    await errorOf("WEFT_UNSUPPORTED", () => topic.producer());
    const out = await topic.producer({ selectPartition: ({ n }, count) => n % count });
    for (let n = 0; n < 6; n++) out.push(reading("a", n));
    await out.close();
    expect(await numbersIn(topic)).toEqual([
      [0, 2, 4],
      [1, 3, 5],
    ]);
  });

  it("that throws or answers nonsense is an error of that event, and no other is disturbed", async () => {
    const topic = await place.job.createTopic<Reading>("nonsense", { partitions: 2 });
    const answers: unknown[] = [2, -1, 0.5, NaN, "0", undefined, null, Promise.resolve(0)];
    const out = await topic.producer({
      selectPartition: ({ n }) => {
        if (n === 100) throw new Error("no idea");
        return (n < answers.length ? answers[n] : 1) as number;
      },
    });
    for (const n of answers.keys()) await errorOf("WEFT_PARTITION_RANGE", () => out.push(reading("a", n)));
    const error = await errorOf("WEFT_INVALID_ARGUMENT", () => out.push(reading("a", 100)));
    expect(error.message).toContain("no idea");
    out.push(reading("a", 50));
    await out.close();
    expect(await numbersIn(topic)).toEqual([[], [50]]);
  });

  it("that is not valid is refused with its place", async () => {
    const refused: [selector: unknown, words: string][] = [
      ["randomly", "is not one of round-robin"],
      [{ keyAt: "station" }, "is not a JSON pointer"],
      [{ keyAt: 3 }, "is not a JSON pointer"],
      [{ keyAt: "/a", module: "x" }, '"module" is not known beside keyAt'],
      [{}, "it wants keyAt or module"],
    ];
    for (const [partitionSelector, words] of refused) {
      const request = { op: "topic.create", name: "refused", config: { partitionSelector } };
      const error = await errorOf("WEFT_CONFIG_INVALID", () => place.job.control(0, request));
      expect(error.message).toContain(`partitionSelector`);
      expect(error.message).toContain(words);
    }
  });
});
