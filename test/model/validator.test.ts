// Validators: schemas, patterns, modules and functions, which see each event before anything of it is sent.
import { writeFileSync } from "node:fs";

import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";

import { EncodedJson, type Topic } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

const schema = {
  type: "object",
  properties: { mag: { type: "number", minimum: 0 }, place: { type: "string" } },
  required: ["mag"],
} as const;

async function stored<Metadata>(topic: Topic<Metadata>): Promise<Metadata[]> {
  const events: Metadata[] = [];
  for await (const event of topic.consumer({ from: "earliest", until: "end" })) events.push(event.metadata);
  return events;
}

describe("a validator", () => {
  it("of a JSON Schema rejects an event, names the field, and disturbs no other", async () => {
    const topic = await place.job.createTopic("schema", { validator: { schema } });
    expectTypeOf(topic).toEqualTypeOf<Topic<{ mag: number; place?: string }>>();
    const out = await topic.producer();
    out.push({ mag: 1 });
    const error = await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ mag: -1 }));
    expect(error.message).toBe(
      "WEFT_VALIDATOR_REJECTED: the validator of topic 'schema' rejected an event: metadata.mag is -1; it must be >= 0",
    );
    await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({} as { mag: number }));
    out.push({ mag: 2 });
    await out.close();
    expect(await stored(topic)).toEqual([{ mag: 1 }, { mag: 2 }]);
  });

  it("is that of the topic after the servers were started again, and cannot be another by accident", async () => {
    const pattern = { mag: [{ numeric: [">=", 4] }], place: [{ exists: true }] };
    await place.job.createTopic("strong", { validator: { pattern } });
    await place.restart();
    await place.job.createTopic("strong", { validator: { pattern } }, { ifExists: "open" });
    const other = await errorOf("WEFT_TOPIC_EXISTS", () =>
      place.job.createTopic("strong", { validator: { schema } }, { ifExists: "open" }),
    );
    expect(other.message).toContain("validator");
    const topic = await place.job.topic<{ mag: number; place?: string }>("strong");
    const out = await topic.producer();
    out.push({ mag: 4, place: "Hilo" });
    const error = await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ mag: 4 }));
    expect(error.message).toContain("metadata.place is not there");
    await out.close();
    expect(await stored(topic)).toEqual([{ mag: 4, place: "Hilo" }]);
  });

  it("sees what JSON text says that is pushed as it is", async () => {
    const topic = await place.job.createTopic<unknown>("text", { validator: { schema } });
    const out = await topic.producer();
    out.push(new EncodedJson('{"mag":4.60}'));
    await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push(new EncodedJson('{"mag":"4"}')));
    await errorOf("WEFT_METADATA_INVALID", () => out.push(new EncodedJson("{no")));
    await out.close();
    expect(await stored(topic)).toEqual([{ mag: 4.6 }]);
  });

  it("sees packed records as objects", async () => {
    const topic = await place.job.createTopic("packed", {
      packed: { fields: [{ name: "step", type: "u64" }] },
      validator: { pattern: { step: [{ numeric: ["<", 10] }] } },
    });
    expectTypeOf(topic).toEqualTypeOf<Topic<{ readonly step: bigint }>>();
    const out = await topic.producer();
    out.push({ step: 9n });
    await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ step: 10n }));
    await out.close();
    expect(await stored(topic)).toEqual([{ step: 9n }]);
  });

  it("may be a module, which gets the options of the topic and sees the data", async () => {
    const module = place.file(
      "limit.mjs",
      `export function atMost({ bytes }) {
         return (metadata, data) => data.bytes <= bytes || \`metadata.name \${metadata.name} has \${data.bytes} bytes of data\`;
       }`,
    );
    const topic = await place.job.createTopic<{ name: string }>("module", {
      validator: { module, export: "atMost", options: { bytes: 8 } },
    });
    const out = await topic.producer();
    out.push({ name: "small" }, new Uint8Array(8));
    const error = await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ name: "large" }, new Uint8Array(9)));
    expect(error.message).toContain("metadata.name large has 9 bytes of data");
    await out.close();
    expect(await stored(topic)).toEqual([{ name: "small" }]);
    // Whoever has another file at that place, or none, does not produce; and the file that was meant works again.
    const text = `export function atMost() { return () => true; }`;
    writeFileSync(module, text);
    const changed = await errorOf("WEFT_MODULE", () => topic.producer());
    expect(changed.message).toContain("not the one that the topic was created with");
    expect(changed.message).toContain(module);
    expect(await stored(topic)).toHaveLength(1);
  });

  it("of a module that is no good is refused when the topic is created", async () => {
    const create = (validator: object): Promise<unknown> =>
      place.job.createTopic("bad-module", { validator } as Parameters<typeof place.job.createTopic>[1]);
    const missing = await errorOf("WEFT_MODULE", () => create({ module: "/no/such/file.mjs" }));
    expect(missing.message).toContain("it is not there");
    await errorOf("WEFT_MODULE", () => create({ module: "no-such-package" }));
    const bad: [text: string, words: string][] = [
      ["export default 3", "its export 'default' is a number, not a function"],
      ["export const other = 3", "its export 'default' is not there"],
      ["export default () => { throw new Error('no luck') }", "threw: no luck"],
      ["export default () => 3", "it made a number, not a function"],
      ["this is no JavaScript", "could not be loaded"],
    ];
    for (const [index, [text, words]] of bad.entries()) {
      const module = place.file(`bad-${index}.mjs`, text);
      const error = await errorOf("WEFT_MODULE", () => create({ module }));
      expect(error.message).toContain(words);
    }
    expect((await place.job.listTopics()).map(({ name }) => name)).not.toContain("bad-module");
  });

  it("may be each producer's own, which has to give it, unless the topic lets it be", async () => {
    await place.job.createTopic("own", { validator: "custom" });
    await place.job.createTopic("lenient", { validator: "custom", allowUnvalidated: true });
    const own = await place.job.topic<{ a: number }>("own");
    await errorOf("WEFT_UNSUPPORTED", () => own.producer());
    const out = await own.producer({ validate: ({ a }) => a > 0 || "metadata.a is not above 0" });
    out.push({ a: 1 });
    await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ a: 0 }));
    await out.close();
    await (await (await place.job.topic("lenient")).producer()).close();
  });

  it("that throws, or says neither yes nor no, is an error of that event", async () => {
    const topic = await place.job.createTopic<{ a: number }>("nonsense");
    const validate = ({ a }: { a: number }): boolean => {
      if (a === 1) throw new Error("broken");
      return (a === 2 ? undefined : a === 3 ? Promise.resolve(true) : true) as boolean;
    };
    const out = await topic.producer({ validate });
    const threw = await errorOf("WEFT_VALIDATOR_REJECTED", () => out.push({ a: 1 }));
    expect(threw.message).toContain("threw: broken");
    expect((threw.cause as Error).message).toBe("broken");
    await errorOf("WEFT_INVALID_ARGUMENT", () => out.push({ a: 2 }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => out.push({ a: 3 }));
    out.push({ a: 4 });
    await out.close();
    expect(await stored(topic)).toEqual([{ a: 4 }]);
  });

  it("that closes its producer, as any function of push may, leaves that event out and nothing undone", async () => {
    const topic = await place.job.createTopic<unknown>("closed-within");
    for (const close of ["validate", "selectPartition", "toJSON"] as const) {
      let closing: Promise<void> | undefined;
      let isDue = false;
      const closes = <T>(value: T): T => {
        if (isDue) closing ??= out.close();
        return value;
      };
      const out = await topic.producer({
        ...(close === "validate" ? { validate: () => closes(true) } : {}),
        ...(close === "selectPartition" ? { selectPartition: () => closes(0) } : {}),
      });
      const before = out.push({ n: 1 });
      isDue = true;
      const metadata = close === "toJSON" ? { toJSON: () => closes({ n: 2 }) } : { n: 2 };
      await errorOf("WEFT_CLOSED", () => out.push(metadata));
      await closing;
      expect(before.completed).toBe(true);
    }
    const seen: unknown[] = [];
    for await (const event of topic.consumer({ from: "earliest", until: "end" })) seen.push(event.metadata);
    expect(seen).toEqual([{ n: 1 }, { n: 1 }, { n: 1 }]);
  });

  it("that is not valid is refused with its place", async () => {
    const refused: [config: object, words: string][] = [
      [{ validator: { schema: { type: "nmber" } } }, "validator.schema"],
      [{ validator: { pattern: { mag: [{ above: 3 }] } } }, "validator.pattern.mag[0]"],
      [{ validator: { shema: {} } }, "schema or pattern or module"],
      [{ validator: { schema: {}, pattern: {} } }, '"pattern" is not known beside schema'],
      [{ validator: "yes" }, "is not one of custom"],
      [{ validator: { module: "./x.mjs", hash: "1" } }, "hash"],
      [{ validator: { schema: {} }, serializer: "raw" }, "its metadata is bytes"],
      [{ validator: { schema: { description: "x".repeat(17_000) } } }, "bytes of JSON together"],
    ];
    for (const [config, words] of refused) {
      const request = { op: "topic.create", name: "refused", config };
      const error = await errorOf("WEFT_CONFIG_INVALID", () => place.job.control(0, request));
      expect(error.message).toContain(words);
    }
    const unhashed = { op: "topic.create", name: "refused", config: { validator: { module: "/x.mjs" } } };
    const error = await errorOf("WEFT_CONFIG_INVALID", () => place.job.control(0, unhashed));
    expect(error.message).toContain("sha256 is missing");
  });
});
