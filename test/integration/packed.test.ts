// Packed and raw metadata against a real server: records from TypeScript, C and the command line are the same records for
// each of them, the schema outlives the server, and what is no record is refused.
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";

import { attach, packed, type PackedMetadata } from "../../src/index.js";
import { parseLines, Workplace } from "./support/weftline.js";

const native = process.env["WEFTLINE_TEST_NATIVE"] ?? fileURLToPath(new URL("../../build/native", import.meta.url));
const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const fieldsFlag = "step:u32,t:f64,id:u64,label:string[16],origin:u32[2],ok:bool,level:i16,note:string";
const schema = packed([
  { name: "step", type: "u32" },
  { name: "t", type: "f64" },
  { name: "id", type: "u64" },
  { name: "label", type: "string", bytes: 16 },
  { name: "origin", type: "u32", length: 2 },
  { name: "ok", type: "bool" },
  { name: "level", type: "i16" },
  { name: "note", type: "string" },
]);
type Step = PackedMetadata<typeof schema>;

/** As packed_records.c makes them. */
function stepOf(step: number, label: string): Step {
  const id = 2n ** 64n - 1n - BigInt(step);
  const origin = [step, step + 1];
  return { step, t: step * 0.25, id, label, origin, ok: step % 2 === 1, level: -step || 0, note: `note ${step}` };
}

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

/** The C program of this test, with the header of the topic. */
async function compiled(name: string, header: string, ...flags: string[]): Promise<(...argv: string[]) => string> {
  writeFileSync(place.path("steps_record.h"), header);
  const program = place.path(name);
  const library = join(native, "library");
  execFileSync(
    "cc",
    [
      ...["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", ...flags],
      ...["-I", place.directory, "-I", file("../../native/include"), file("support/packed_records.c"), "-o", program],
      ...["-L", library, "-lweftline", `-Wl,-rpath,${library}`],
    ],
    { stdio: "pipe" },
  );
  return (...argv) => {
    const env = { ...process.env, WEFTLINE_GROUP: place.path("weft", "group") };
    const { status, stdout, stderr } = spawnSync(program, argv, { encoding: "utf8", timeout: 60_000, env });
    expect([status, stderr]).toEqual([0, ""]);
    return stdout;
  };
}

test("records go from C and the command line to TypeScript and back, also after a restart", async () => {
  const first = await place.serve(["--data", "./weft"]);
  await place.ok(["topic", "create", "steps", "--packed", fieldsFlag]);
  const header = await place.ok(["topic", "header", "steps"]);
  const c = await compiled("packed_records", header);
  const refusal = c("push", "steps", "3");
  expect(refusal).toMatch(
    /^WEFT_METADATA_INVALID: .* topic 'steps' has 55 bytes; its record has at least 56; `weftline/,
  );

  const described = await place.ok(["topic", "describe", "steps"]);
  expect(described).toMatch(/record of 56 bytes and more\nstep +u32 +at 0\nt +f64 +at 8\n/);
  expect(described).toMatch(/label +string of 16 bytes +at 24\n/);
  expect(described).toMatch(/note +string +behind the fixed part\n/);

  await first.end("SIGTERM");
  await place.serve(["--data", "./weft"]);
  await using job = await attach(place.path("weft", "group"));
  const topic = await job.topic<Step>("steps");
  expect([topic.serializer, topic.description.packed]).toEqual(["packed", schema]);
  await using out = await topic.producer();
  for (let step = 3; step < 300; step++) out.push(stepOf(step, "größe"));
  await out.flush();

  const line = (step: number): string =>
    JSON.stringify({ ...stepOf(step, "line"), id: String(2n ** 64n - 1n - BigInt(step)) });
  const lines = [
    line(300),
    '{"step":-1}',
    line(301).replace('"t"', '"tt"'),
    line(301),
    line(302).replace('"ok"', '"no"'),
  ];
  const produced = await place.weftline(["produce", "steps"], { input: `${lines.join("\n")}\n` });
  expect(produced.exitCode).toBe(5);
  expect(produced.words).toMatch(
    /^line 2 has no record: field 'step' \(u32\) is -1; it takes whole numbers of 0 to 4,29/m,
  );
  expect(produced.words).toMatch(
    /^line 3 has a member "tt", which the topic's schema has not; did you mean "t"\?; left/m,
  );
  expect(produced.words).toMatch(/^line 5 has a member "no"/m);
  expect(produced.words).toContain("2 events");

  const wanted = Array.from({ length: 302 }, (_, step) =>
    stepOf(step, step < 3 ? "from C" : step < 300 ? "größe" : "line"),
  );
  const seen: Step[] = [];
  for await (const events of topic.consumer({ until: "end" }).batches()) {
    for (const event of events) seen.push(event.metadata);
  }
  expect(seen).toEqual(wanted);

  const text = ({ step, t, id, label, origin, ok, level, note }: Step): string =>
    `${step} ${t} ${id} ${label} ${origin.join(",")} ${ok ? 1 : 0} ${level} ${note}`;
  expect(c("read", "steps", "302").trimEnd().split("\n")).toEqual(wanted.map(text));

  const consumed = await place.ok(["consume", "steps", "--until", "end", "--metadata-only"]);
  expect(parseLines(consumed)[301]).toEqual(JSON.parse(line(301)));
  await place.ok(["topic", "create", "copy", "--packed", fieldsFlag]);
  await place.ok(["produce", "copy"], { input: consumed });
  expect(await place.ok(["consume", "copy", "--until", "end", "--metadata-only"])).toBe(consumed);
});

test("the header compiles as C++ too, and as a struct of another name", async () => {
  await place.serve(["--data", "./weft"]);
  await place.ok([
    "topic",
    "create",
    "7.odd-name",
    "--packed",
    "a:u8,b:i64[3],c:bytes[5],d:bytes,e:f32,f:string,g:bool[2]",
  ]);
  const header = await place.ok(["topic", "header", "7.odd-name"]);
  expect(header).toContain("typedef struct topic_7_odd_name_record {");
  writeFileSync(place.path("one.h"), header);
  writeFileSync(place.path("two.h"), await place.ok(["topic", "header", "7.odd-name", "--struct", "odd"]));
  writeFileSync(
    place.path("both.cc"),
    '#include "one.h"\n#include "two.h"\nint main() { return sizeof(odd) != 56; }\n',
  );
  execFileSync("c++", ["-std=c++20", "-Wall", "-Wextra", "-Werror", place.path("both.cc"), "-o", place.path("both")]);
  execFileSync(place.path("both"));
  const struct = await place.weftline(["topic", "header", "7.odd-name", "--struct", "a b"]);
  expect([struct.exitCode, struct.words]).toEqual([2, expect.stringContaining("is not an identifier of C")]);
  await place.ok(["topic", "create", "plain"]);
  const plain = await place.weftline(["topic", "header", "plain"]);
  expect(plain.words).toMatch(/topic 'plain' has the serializer json: it has no records/);
});

describe("a topic of packed metadata", () => {
  it("is the same only with the same schema", async () => {
    await place.serve(["--data", "./weft"]);
    await using job = await attach(place.path("weft", "group"));
    await job.createTopic<Step>("steps", { packed: schema });
    await job.createTopic<Step>("steps", { packed: schema }, { ifExists: "open" });
    const other = packed([{ name: "step", type: "u64" }]);
    await expect(job.createTopic("steps", { packed: other }, { ifExists: "open" })).rejects.toMatchObject({
      code: "WEFT_TOPIC_EXISTS",
      message: expect.stringContaining(`exists with packed.fields[0] "step: u32", not "step: u64"`) as string,
    });
    await expect(job.createTopic("more", { packed: { fields: [] } })).rejects.toMatchObject({
      code: "WEFT_CONFIG_INVALID",
      message: expect.stringContaining("packed.fields: has 0 fields") as string,
    });
    await expect(job.createTopic("steps", {}, { ifExists: "open" })).resolves.toMatchObject({ serializer: "packed" });
  });

  it("takes no event whose field is wrong, and all others", async () => {
    await place.serve(["--data", "./weft"]);
    await using job = await attach(place.path("weft", "group"));
    const topic = await job.createTopic<Step>("steps", { packed: schema, partitions: 2 });
    await using out = await topic.producer();
    for (let step = 0; step < 1000; step++) {
      if (step % 10 === 0) {
        expect(() => out.push({ ...stepOf(step, "x"), t: "0" as unknown as number })).toThrow(
          /field 't' \(f64\) is "0"/,
        );
      }
      while (out.queued > 900) await out.ready();
      out.push(stepOf(step, "x"), step % 3 === 0 ? new Float64Array(step) : undefined);
    }
    await out.flush();
    let steps = 0;
    let count = 0;
    for await (const event of topic.consumer({ until: "end" })) {
      steps += event.field("step");
      count++;
      expect(event.dataLength).toBe(event.metadata.step % 3 === 0 ? 8 * event.metadata.step : 0);
    }
    expect([count, steps]).toEqual([1000, 499_500]);
  });
});

test("raw metadata from the command line and TypeScript is the same bytes for both", async () => {
  await place.serve(["--data", "./weft"]);
  await place.ok(["topic", "create", "raw", "--serializer", "raw"]);
  await place.ok(["produce", "raw"], { input: "not JSON\n\x01\x02\n" });
  await using job = await attach(place.path("weft", "group"));
  const topic = await job.topic<Uint8Array>("raw");
  await using out = await topic.producer();
  const reused = Buffer.alloc(3);
  for (let index = 0; index < 3000; index++) {
    reused.writeUIntLE(index, 0, 3);
    while (out.queued > 900) await out.ready();
    out.push(reused);
  }
  await out.flush();
  const seen: Uint8Array[] = [];
  for await (const event of topic.consumer({ until: "end" })) seen.push(event.metadata);
  expect(Buffer.from(seen[0] ?? []).toString()).toBe("not JSON");
  expect([...(seen[1] ?? [])]).toEqual([1, 2]);
  expect(seen.slice(2).map((bytes) => Buffer.from(bytes).readUIntLE(0, 3))).toEqual([...Array(3000).keys()]);
  // Views of one copy of the frame: no memory of their own.
  expect(seen[5]?.buffer).toBe(seen[6]?.buffer);
  const [line] = parseLines<{ metadataBase64: string }>(await place.ok(["consume", "raw", "--until", "count:1"]));
  expect(Buffer.from(line?.metadataBase64 ?? "", "base64").toString()).toBe("not JSON");
});

test("where code cannot be generated from strings, closures do the work", async () => {
  const program =
    `import { PackedCodec } from ${JSON.stringify(new URL("../../dist/packed/codec.js", import.meta.url).href)};` +
    `const codec = new PackedCodec({ fields: [{ name: "a", type: "u8" }] }, "field");` +
    `console.log(codec.compiled, codec.read({ view: new DataView(Uint8Array.of(5).buffer) }, 0).a);`;
  const run = (...flags: string[]): string =>
    execFileSync(process.execPath, [...flags, "--input-type=module", "--eval", program], { encoding: "utf8" });
  expect(run("--disallow-code-generation-from-strings")).toBe("false 5\n");
  expect(run()).toBe("true 5\n");
});
