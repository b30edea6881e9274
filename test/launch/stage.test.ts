// `weftline stage`: what a server stored comes out whole, or is not there under its name; an interrupted copy is gone on with;
// changed bytes are found; and a server goes on with what was put back.
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Workplace } from "../integration/support/weftline.js";

// Made once: what a server has left.
let origin: Workplace;
beforeAll(async () => {
  origin = new Workplace();
  const server = await origin.serve(["--data", "./weft"]);
  await origin.ok(["topic", "create", "quakes", "--partitions", "2", "--segment-bytes", "1MiB"]);
  const lines = Array.from({ length: 4000 }, (_, n) => JSON.stringify({ n, text: "x".repeat(1000) }));
  await origin.ok(["produce", "quakes"], { input: `${lines.join("\n")}\n` });
  await server.end("SIGTERM");
});
afterAll(() => origin.close());

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
  cpSync(origin.path("weft"), place.path("weft"), { recursive: true });
});
afterEach(() => place.close());

const stage = (...argv: string[]): ReturnType<Workplace["weftline"]> => place.weftline(["stage", ...argv]);
const aSegment = (directory: string): string => {
  const folder = place.path(directory, "topics/quakes/0/metadata");
  const name = readdirSync(folder).find((each) => each.endsWith(".meta"));
  return `${folder}/${name}`;
};

describe("out", () => {
  it("copies and verifies everything, and a server goes on with what comes in again", async () => {
    const out = await stage("out", "./weft", "./kept", "--json");
    expect(out.exitCode, out.words).toBe(0);
    expect(JSON.parse(out.output.toString())).toMatchObject({ events: 4000, complete: true });
    const manifest = JSON.parse(readFileSync(place.path("kept/manifest.json"), "utf8")) as {
      files: { path: string }[];
    };
    expect(manifest.files.map(({ path }) => path)).toContain("catalogue");
    expect(manifest.files.some(({ path }) => path.endsWith("lock"))).toBe(false);
    const back = await stage("in", "./kept", "./elsewhere");
    expect(back.exitCode, back.words).toBe(0);
    await place.serve(["--data", "./elsewhere"]);
    const group = ["--group", "./elsewhere/group"];
    await place.ok(["produce", "quakes", ...group], { input: '{"n":4000}\n' });
    const read = await place.ok(["consume", "quakes", ...group, "--until", "end", "--metadata-only"]);
    const numbers = read
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { n: number }).n);
    expect(numbers.sort((left, right) => left - right)).toEqual(Array.from({ length: 4001 }, (_, n) => n));
  });

  it("is done already when it is asked for again, and refuses a place of something else", async () => {
    expect((await stage("out", "./weft", "./kept")).exitCode).toBe(0);
    const again = await stage("out", "./weft", "./kept", "--json");
    expect([again.exitCode, (JSON.parse(again.output.toString()) as { copied: number }).copied]).toEqual([0, 0]);
    appendFileSync(aSegment("weft"), "more");
    const changed = await stage("out", "./weft", "./kept");
    expect([changed.exitCode, changed.words]).toEqual([2, expect.stringContaining("which has changed")]);
    mkdirSync(place.path("mine"));
    const other = await stage("out", "./weft", "./mine");
    expect([other.exitCode, other.words]).toEqual([2, expect.stringContaining("holds no staged data")]);
    const none = await stage("out", "./nothing", "./x");
    expect([none.exitCode, none.words]).toEqual([2, expect.stringContaining("is not a data directory")]);
  });

  it("goes on with a copy that was interrupted, and does again what was torn in it", async () => {
    expect((await stage("out", "./weft", "./kept")).exitCode).toBe(0);
    const { files } = JSON.parse(readFileSync(place.path("kept/manifest.json"), "utf8")) as {
      files: { path: string }[];
    };
    cpSync(place.path("kept"), place.path("again.partial"), { recursive: true });
    rmSync(place.path("again.partial/manifest.json"));
    const torn = aSegment("again.partial");
    const bytes = readFileSync(torn);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeFileSync(torn, bytes);
    writeFileSync(
      place.path("again.partial/staged.ndjson"),
      `${files.map((file) => JSON.stringify(file)).join("\n")}\n{"pa`,
    );
    const out = await stage("out", "./weft", "./again", "--json");
    expect(out.exitCode, out.words).toBe(0);
    expect(JSON.parse(out.output.toString())).toMatchObject({ copied: 1, files: files.length, events: 4000 });
    expect(existsSync(place.path("again.partial"))).toBe(false);
  });

  it("copies what is sealed beside a server that runs, and the rest when it has ended", async () => {
    const server = await place.serve(["--data", "./weft"]);
    const busy = await stage("out", "./weft", "./kept");
    expect([busy.exitCode, busy.words]).toEqual([1, expect.stringContaining("WEFT_DATA_DIRECTORY_LOCKED")]);
    const sealed = await stage("out", "./weft", "./kept", "--sealed", "--json");
    const first = JSON.parse(sealed.output.toString()) as { files: number; complete: boolean };
    expect(first.complete).toBe(false);
    expect(first.files).toBeGreaterThan(0);
    expect(existsSync(place.path("kept"))).toBe(false);
    await server.end("SIGTERM");
    const out = await stage("out", "./weft", "./kept", "--json");
    const rest = JSON.parse(out.output.toString()) as { files: number; copied: number; events: number };
    expect(rest).toMatchObject({ events: 4000, copied: rest.files - first.files });
  });

  it("says that data was damaged before it was copied", async () => {
    const file = aSegment("weft");
    const bytes = readFileSync(file);
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const out = await stage("out", "./weft", "./kept");
    expect([out.exitCode, out.words]).toEqual([
      4,
      expect.stringContaining("a faithful one of damaged data: partition quakes/0"),
    ]);
    expect(existsSync(place.path("kept"))).toBe(false);
  });
});

describe("in", () => {
  it("refuses bytes that are not those that were staged, and leaves nothing under the name", async () => {
    expect((await stage("out", "./weft", "./kept")).exitCode).toBe(0);
    const file = aSegment("kept");
    const bytes = readFileSync(file);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const back = await stage("in", "./kept", "./elsewhere");
    expect([back.exitCode, back.words]).toEqual([4, expect.stringContaining("is not what was staged")]);
    expect(existsSync(place.path("elsewhere"))).toBe(false);
  });

  it("leaves a directory that holds something as it is", async () => {
    expect((await stage("out", "./weft", "./kept")).exitCode).toBe(0);
    const full = await stage("in", "./kept", "./weft");
    expect([full.exitCode, full.words]).toEqual([2, expect.stringContaining("is not empty")]);
    expect((await stage("in", "./kept", "./weft", "--if-empty")).exitCode).toBe(0);
    expect((await stage("in", "./weft", "./x")).words).toContain("holds no staged data");
  });

  it("puts folders of partitions back where they lay", async () => {
    const server = await place.serve(["--data", "./apart"]);
    const group = ["--group", "./apart/group"];
    const directory = place.path("data-files");
    await place.ok(["topic", "create", "far", ...group, "--data-directory", directory]);
    await place.ok(["produce", "far", ...group], { input: '{"n":1}\n' });
    await server.end("SIGTERM");
    expect((await stage("out", "./apart", "./kept")).exitCode).toBe(0);
    rmSync(place.path("apart"), { recursive: true });
    rmSync(directory, { recursive: true });
    const back = await stage("in", "./kept", "./apart");
    expect(back.exitCode, back.words).toBe(0);
    expect(readdirSync(directory)).toEqual(["far"]);
    await place.serve(["--data", "./apart"]);
    expect(await place.ok(["consume", "far", ...group, "--until", "end", "--metadata-only"])).toBe('{"n":1}\n');
  });
});
