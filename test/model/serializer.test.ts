// Serializers: what metadata is stored as, and is again.
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { attach, type Topic } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

async function stored<Metadata>(topic: Topic<Metadata>): Promise<Metadata[]> {
  const events: Metadata[] = [];
  for await (const event of topic.consumer({ from: "earliest", until: "end" })) events.push(event.metadata);
  return events;
}

const times = `
export default ({ epoch }) => ({
  encode(time) {
    if (!(time instanceof Date)) throw new TypeError("it is no Date");
    if (time.getTime() === 0) return 0; // nonsense
    return String(time.getTime() - epoch);
  },
  decode(bytes) {
    const ms = Number(new TextDecoder().decode(bytes));
    if (Number.isNaN(ms)) throw new RangeError("it is no number");
    return new Date(ms + epoch);
  },
});`;

describe("a serializer", () => {
  it("is JSON, bytes or records", async () => {
    const json = await place.job.createTopic<unknown>("json");
    const raw = await place.job.createTopic<Uint8Array>("raw", { serializer: "raw" });
    const packed = await place.job.createTopic("packed", { packed: { fields: [{ name: "a", type: "u8" }] } });
    const [one, two, three] = [await json.producer(), await raw.producer(), await packed.producer()];
    one.push({ a: ["ü", null, 1.5] });
    two.push(Uint8Array.of(1, 0, 255));
    three.push({ a: 7 });
    for (const out of [one, two, three]) await out.close();
    expect(await stored(json)).toEqual([{ a: ["ü", null, 1.5] }]);
    expect((await stored(raw)).map((bytes) => [...bytes])).toEqual([[1, 0, 255]]);
    expect(await stored(packed)).toEqual([{ a: 7 }]);
  });

  it("may be a module with a pair of functions, which every process loads that opens the topic", async () => {
    const module = place.file("times.mjs", times);
    const epoch = Date.UTC(2026, 0, 1);
    const config = { serializer: { module, options: { epoch } } };
    const topic = await place.job.createTopic<Date>("times", config);
    expect(topic.serializer).toBe("custom");
    const out = await topic.producer();
    const pushed = Array.from({ length: 300 }, (_, index) => new Date(epoch + index * 1000 + 1));
    for (const time of pushed) out.push(time);
    await out.close();
    await place.restart();
    expect(await stored(await place.job.topic<Date>("times"))).toEqual(pushed);
    // What is stored is what encode made.
    await using job = await attach(place.server.group);
    const again = await job.topic<Date>("times");
    for await (const event of again.consumer({ from: "earliest", until: "end" })) {
      expect(Buffer.from(event.metadataBytes).toString()).toBe(String(event.offset * 1000 + 1));
    }
    place.file("times.mjs", `${times}\n// another`);
    const error = await errorOf("WEFT_MODULE", () => job.topic("times"));
    expect(error.message).toContain("not the one that the topic was created with");
    place.file("times.mjs", times);
    expect((await job.topic("times")).serializer).toBe("custom");
  });

  it("whose functions fail costs the event concerned, and no other", async () => {
    const module = place.file("times-2.mjs", times);
    const topic = await place.job.createTopic<unknown>("failing", { serializer: { module, options: { epoch: 0 } } });
    const out = await topic.producer();
    out.push(new Date(1));
    const error = await errorOf("WEFT_METADATA_INVALID", () => out.push("now"));
    expect(error.message).toContain("it is no Date");
    await errorOf("WEFT_METADATA_INVALID", () => out.push(new Date(0)));
    out.push(new Date(NaN));
    out.push(new Date(3));
    await out.close();
    const seen: unknown[] = [];
    for await (const event of topic.consumer({ from: "earliest", until: "end" })) {
      try {
        seen.push(event.metadata);
      } catch (unreadable) {
        seen.push((unreadable as Error).message);
        expect(Buffer.from(event.metadataBytes).toString()).toBe("NaN");
      }
    }
    expect(seen).toEqual([new Date(1), expect.stringContaining("it is no number"), new Date(3)]);
  });

  it("that is no pair of functions is refused when the topic is created", async () => {
    for (const [name, made] of [
      ["none", "undefined"],
      ["half", "({ encode() {} })"],
    ] as const) {
      const module = place.file(`${name}.mjs`, `export default () => ${made};`);
      const error = await errorOf("WEFT_MODULE", () => place.job.createTopic(name, { serializer: { module } }));
      expect(error.message).toContain("not an object with encode and decode");
    }
  });
});
