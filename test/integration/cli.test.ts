// The command line against real servers: start, create, produce, consume, restart, signals, kill -9, verification.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { native } from "../../src/native/addon.js";
import { crc32c } from "../unit/control/support.js";
import { cliPath, parseLines, until, Workplace } from "./support/weftline.js";

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

interface EventLine {
  partition: number;
  offset: number;
  time: string;
  metadata: Record<string, unknown>;
}

function numbered(count: number, from = 0): string {
  return Array.from({ length: count }, (_, index) => `{"n":${index + from},"text":"event ${index + from}"}\n`).join("");
}

/** The values of n that a consumer gets, in order of number. */
function numbersOf(output: string): number[] {
  return parseLines<EventLine>(output)
    .map(({ metadata }) => Number(metadata["n"]))
    .sort((left, right) => left - right);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describe("a server and its clients", () => {
  test("the lines of the documentation", async () => {
    await place.serve(["--data", "./weft"]);
    await place.ok(["topic", "create", "quakes", "--partitions", "2", "--durability", "synced"]);
    const produced = await place.weftline(["produce", "quakes"], { input: numbered(4912) });
    expect(produced.words).toMatch(/^4,912 events, [\d.]+ kB, [\d.]+ s, all synced\n$/);
    expect(produced.exitCode).toBe(0);
    const consumed = await place.ok(["consume", "quakes", "--until", "end"]);
    expect(numbersOf(consumed)).toEqual(upTo(4912));
    const [first] = parseLines<EventLine>(consumed);
    expect(first).toMatchObject({ offset: 0 });
    expect(Math.abs(Date.parse(first?.time ?? "") - Date.now())).toBeLessThan(120_000);
    // Order holds within a partition.
    for (const partition of [0, 1]) {
      const offsets = parseLines<EventLine>(consumed)
        .filter((event) => event.partition === partition)
        .map(({ offset }) => offset);
      expect(offsets).toEqual(upTo(offsets.length));
    }
    const described = await place.ok(["topic", "describe", "quakes"]);
    expect(described).toMatch(/partition 0 +slot 0 +open +[\d,]+ events/);
    expect(await place.ok(["topic", "list"])).toMatch(/^quakes +2 partitions +disk +synced +json\n$/);
    const status = parseLines(await place.ok(["status", "--json"]));
    expect(status).toMatchObject([{ slot: 0, state: "running", topics: 1, partitions: 2 }]);
    expect(await place.ok(["log", "verify", "./weft"])).toMatch(
      /^partition quakes\/0 +[\d,]+ events +ok\npartition quakes\/1 +[\d,]+ events +ok\n$/,
    );
  });

  test("a real data set comes out byte for byte", async () => {
    const path = fileURLToPath(new URL("../../node_modules/vega-datasets/data/flights-200k.json", import.meta.url));
    const records = JSON.parse(readFileSync(path, "utf8")) as unknown[];
    const lines = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    expect(records.length).toBe(200_000);
    await place.serve();
    await place.ok(["topic", "create", "flights"]);
    const summary = await place.ok(["produce", "flights", "--json"], { input: lines });
    expect(JSON.parse(summary)).toMatchObject({ events: records.length, badLines: 0, durability: "written" });
    const { output, exitCode } = await place.weftline(["consume", "flights", "--until", "end", "--metadata-only"]);
    expect(exitCode).toBe(0);
    expect(output.equals(lines)).toBe(true);
  });

  test("odd but valid JSON is kept as it is; bad lines are named, and nothing else is lost", async () => {
    await place.serve();
    await place.ok(["topic", "create", "odd"]);
    const good = [
      '  {"b" : 1.50, "a":1e3,  "é":"\\u00e9", "a":2}',
      '"text"',
      "null",
      "[1, 2,3]",
      '{"emoji":"\u{1F30B}"}',
      `{"long":"${"x".repeat(300_000)}"}`,
      "12345678901234567890.123456789",
    ];
    const input = [good[0], "{bad", good[1], "", good[2], "undefined", ...good.slice(3)].join("\n");
    const produced = await place.weftline(["produce", "odd"], { input });
    expect(produced.exitCode).toBe(5);
    expect(produced.words).toContain("line 2 is not JSON");
    expect(produced.words).toContain("line 6 is not JSON");
    expect(produced.words).toContain("7 events");
    expect(await place.ok(["consume", "odd", "--until", "end", "--metadata-only"])).toBe(`${good.join("\n")}\n`);
  });

  test("positions: from, until, partitions, and a name that goes on where it was", async () => {
    await place.serve();
    await place.ok(["topic", "create", "steps", "--partitions", "3"]);
    for (const partition of [0, 1, 2]) {
      await place.ok(["produce", "steps", "--partition", String(partition)], { input: numbered(100, partition * 100) });
    }
    const consume = async (...argv: string[]): Promise<EventLine[]> =>
      parseLines<EventLine>(await place.ok(["consume", "steps", ...argv]));
    expect(await consume("--until", "count:7")).toHaveLength(7);
    expect(await consume("--until", "count:0")).toHaveLength(0);
    expect(await consume("--until", "offset:10")).toHaveLength(30);
    expect((await consume("--until", "end", "--from", "offset:90", "-p", "1")).map(({ offset }) => offset)).toEqual(
      Array.from({ length: 10 }, (_, index) => 90 + index),
    );
    expect(await consume("--until", "end", "--from", "latest")).toHaveLength(0);
    expect(await consume("--until", "end", "--from", "time:2000-01-01T00:00:00Z")).toHaveLength(300);
    const first = await consume("--name", "reader", "--until", "count:120");
    const second = await consume("--name", "reader", "--until", "end");
    const seen = [...first, ...second].map(({ metadata }) => Number(metadata["n"])).sort((left, right) => left - right);
    expect(seen).toEqual(upTo(300));
    expect(await consume("--name", "reader", "--until", "end")).toHaveLength(0);
    expect(await consume("--name", "reader", "--from", "earliest", "--until", "end")).toHaveLength(300);
  });

  test("a reader that goes away ends consume quietly, and a consumer without --until can be stopped", async () => {
    await place.serve();
    await place.ok(["topic", "create", "many"]);
    await place.ok(["produce", "many"], { input: numbered(50_000) });
    const head = place.start(["consume", "many"]);
    head.child.stdout?.once("data", () => head.child.stdout?.destroy());
    expect(await head.finished).toMatchObject({ exitCode: 0, words: "" });
    const following = place.start(["consume", "many", "--from", "offset:49990", "--name", "follower"]);
    await until("the events that are there", () => parseLines(following.output).length >= 10);
    await place.ok(["produce", "many"], { input: numbered(10, 50_000) });
    await until("the new events", () => parseLines(following.output).length >= 20);
    const ended = await following.end("SIGINT");
    expect(ended.exitCode).toBe(130);
    expect(numbersOf(ended.output.toString())).toEqual(Array.from({ length: 20 }, (_, index) => 49_990 + index));
    expect(await place.ok(["consume", "many", "--name", "follower", "--until", "end"])).toBe("");
  });

  test("memory topics need no data directory, and are empty after a restart", async () => {
    const first = await place.serve(["--memory", "--group", place.path("group")]);
    const group = ["--group", place.path("group")];
    await place.ok(["topic", "create", "fast", "--storage", "memory", ...group]);
    await place.ok(["produce", "fast", ...group], { input: numbered(1000) });
    expect(numbersOf(await place.ok(["consume", "fast", "--until", "end", ...group]))).toEqual(upTo(1000));
    const refused = await place.weftline(["topic", "create", "kept", ...group]);
    expect(refused.exitCode).toBe(1);
    expect(refused.words).toContain("WEFT_UNSUPPORTED");
    await first.end("SIGTERM");
    await place.serve();
    await place.ok(["topic", "create", "fast", "--storage", "memory"]);
    await place.ok(["produce", "fast"], { input: numbered(10) });
    const second = await place.weftline(["stop"]);
    expect(second.words).toBe("slot 0 drains\n");
    await until(
      "the end of the group directory",
      () => !readdirSync(place.path("weft")).includes("group") || undefined,
    );
  });
});

describe("a server that ends and starts again", () => {
  test("SIGTERM drains: exit 0, no group left; everything is there again, under a new epoch", async () => {
    const first = await place.serve();
    await place.ok(["topic", "create", "kept", "--partitions", "2"]);
    await place.ok(["produce", "kept"], { input: numbered(5000) });
    const ended = await first.end("SIGTERM");
    expect(ended).toMatchObject({ exitCode: 0, signal: null });
    expect((await place.weftline(["topic", "list"])).exitCode).toBe(3);
    const second = await place.serve();
    expect(second.facts.slotEpoch).toBeGreaterThan(first.facts.slotEpoch);
    expect(numbersOf(await place.ok(["consume", "kept", "--until", "end"]))).toEqual(upTo(5000));
    await place.ok(["produce", "kept"], { input: numbered(100, 5000) });
    expect(numbersOf(await place.ok(["consume", "kept", "--until", "end"]))).toEqual(upTo(5100));
    expect((await second.end("SIGINT")).exitCode).toBe(0);
  });

  test("kill -9: nothing that was acknowledged is lost, and the stale group directory says so meanwhile", async () => {
    let expected = 0;
    for (let round = 0; round < 3; round++) {
      const server = await place.serve();
      if (round === 0) await place.ok(["topic", "create", "kept", "--partitions", "2", "--durability", "synced"]);
      await place.ok(["produce", "kept"], { input: numbered(1000, expected) });
      expected += 1000;
      await server.end("SIGKILL");
    }
    const stale = await place.weftline(["topic", "list", "--timeout", "5s"]);
    expect([stale.exitCode, stale.words]).toEqual([3, expect.stringContaining("WEFT_GROUP_STALE")]);
    await place.serve();
    expect(numbersOf(await place.ok(["consume", "kept", "--until", "end"]))).toEqual(upTo(expected));
    expect(await place.ok(["log", "verify", "weft"])).not.toContain("DAMAGED");
  });

  test("a slot that is killed under a producer and started again: the producer goes on by itself", async () => {
    const server = await place.serve();
    await place.ok(["topic", "create", "kept", "--durability", "synced"]);
    const producer = place.start(["produce", "kept", "--name", "steady"], { input: "pipe" });
    producer.child.stdin?.write(numbered(2000));
    await until("the first events", () => statSizes(place.path("weft", "topics")) > 10_000);
    await server.end("SIGKILL");
    producer.child.stdin?.write(numbered(2000, 2000));
    await place.serve();
    producer.child.stdin?.end(numbered(2000, 4000));
    const ended = await producer.finished;
    expect(ended.words).toContain("6,000 events");
    expect(ended.exitCode).toBe(0);
    expect(numbersOf(await place.ok(["consume", "kept", "--until", "end"]))).toEqual(upTo(6000));
  });

  test("topics of the configuration exist; one that differs stops the start and changes nothing", async () => {
    writeFileSync(
      place.path("weftline.yaml"),
      "topics:\n  field: { partitions: 4 }\n  quakes: { durability: synced }\n",
    );
    const first = await place.serve();
    expect(parseLines(await place.ok(["topic", "list", "--json"]))).toMatchObject([
      { name: "field", partitions: 4 },
      { name: "quakes", durability: "synced" },
    ]);
    await first.end("SIGTERM");
    writeFileSync(place.path("weftline.yaml"), "topics:\n  field: { partitions: 8 }\n");
    const refused = await place.weftline(["serve"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.words).toContain("topic 'field' exists with partitions 4, not 8");
    writeFileSync(place.path("weftline.yaml"), "topics:\n  field: { partitons: 8 }\n");
    const misspelt = await place.weftline(["serve"]);
    expect(misspelt.exitCode).toBe(2);
    expect(misspelt.words).toContain("weftline.yaml:2:12");
  });

  test("what a topic demands: a schema, a pattern, modules of its own; and it is deleted", async () => {
    await place.serve(["--data", "./weft"]);
    writeFileSync(
      place.path("schema.json"),
      '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}',
    );
    await place.ok(["topic", "create", "checked", "--schema", "schema.json", "--partition-selector", "/n"]);
    const produced = await place.weftline(["produce", "checked"], { input: '{"n":1}\n{"n":"2"}\n{"n":3}\n{}\n' });
    expect(produced.words).toContain("line 2 WEFT_VALIDATOR_REJECTED");
    expect(produced.words).toContain('metadata.n is "2"');
    expect(produced.words).toContain("metadata.n is not there");
    expect(numbersOf(await place.ok(["consume", "checked", "--until", "end"]))).toEqual([1, 3]);
    const described = await place.ok(["topic", "describe", "checked"]);
    expect(described).toMatch(/partition selector +key at \/n/);
    expect(described).toMatch(/validator +schema \{"type":"object"/);
    await place.ok(["topic", "create", "strong", "--pattern", '{"mag":[{"numeric":[">=",6]}]}']);
    writeFileSync(
      place.path("upper.mjs"),
      "export default () => ({ encode: (text) => text.toUpperCase(), decode: (bytes) => ({ text: String(Buffer.from(bytes)) }) });",
    );
    await place.ok(["topic", "create", "upper", "--serializer", "./upper.mjs"]);
    await place.ok(["produce", "upper"], { input: '"abc"\n' });
    expect(parseLines<EventLine>(await place.ok(["consume", "upper", "--until", "end"]))[0]?.metadata).toEqual({
      text: "ABC",
    });
    for (const [flags, words] of [
      [["--schema", "{"], "--schema: is not JSON"],
      [["--schema", "absent.json"], "absent.json"],
      [["--pattern", '{"a":[{"above":1}]}'], "validator.pattern.a[0]"],
      [["--validator", "./absent.mjs"], "it is not there"],
      [["--schema", "{}", "--pattern", "{}"], "one of --schema, --pattern and --validator"],
      [["--partition-selector", "sometimes"], "is not one of round-robin"],
    ] as const) {
      const { exitCode, words: said } = await place.weftline(["topic", "create", "bad", ...flags]);
      expect(said).toContain(words);
      expect(exitCode).not.toBe(0);
    }
    await place.ok(["topic", "delete", "checked"]);
    const gone = await place.weftline(["topic", "delete", "checked"]);
    expect(gone.words).toContain("WEFT_TOPIC_UNKNOWN");
    expect(gone.exitCode).not.toBe(0);
    expect((await place.ok(["topic", "list", "--json"])).split("\n").filter((line) => line !== "")).toHaveLength(2);
  });

  test("modules of topics in a configuration file are found from there", async () => {
    mkdirSync(place.path("site"));
    writeFileSync(
      place.path("site", "odd.mjs"),
      "export default () => ({ n }) => n % 2 === 1 || 'metadata.n is even';",
    );
    writeFileSync(
      place.path("site", "weftline.yaml"),
      "topics:\n  odd: { validator: { module: ./odd.mjs } }\n  keyed: { partitionSelector: { keyAt: /n } }\n",
    );
    await place.serve(["--data", "./weft", "--config", "site/weftline.yaml"]);
    const produced = await place.weftline(["produce", "odd"], { input: '{"n":1}\n{"n":2}\n' });
    expect(produced.words).toContain("metadata.n is even");
    expect(numbersOf(await place.ok(["consume", "odd", "--until", "end"]))).toEqual([1]);
  });

  test("a catalogue torn by a crash is cut, with a warning; a damaged one stops the start", async () => {
    const first = await place.serve();
    await place.ok(["topic", "create", "kept"]);
    await first.end("SIGKILL");
    const path = place.path("weft", "catalogue");
    const whole = readFileSync(path);
    writeFileSync(path, Buffer.concat([whole, Buffer.from("000000ff 00")]));
    const second = await place.serve();
    expect(second.words).toContain("cut 11 bytes");
    await second.end("SIGTERM");
    const damaged = Buffer.from(whole);
    damaged[40] = (damaged[40] ?? 0) ^ 1;
    writeFileSync(path, damaged);
    const refused = await place.weftline(["serve"]);
    expect(refused.exitCode).toBe(4);
    expect(refused.words).toContain("WEFT_CORRUPT");
  });
});

describe("bad input", () => {
  test("unknown topic, a second of one name, a partition out of range", async () => {
    await place.serve();
    await place.ok(["topic", "create", "quakes"]);
    for (const [argv, code, words] of [
      [["consume", "quaks", "--until", "end"], "WEFT_TOPIC_UNKNOWN", "quaks"],
      [["produce", "quaks"], "WEFT_TOPIC_UNKNOWN", "quaks"],
      [["topic", "describe", "quaks"], "WEFT_TOPIC_UNKNOWN", "did you mean 'quakes'?"],
      [["topic", "create", "quakes"], "WEFT_TOPIC_EXISTS", "'quakes'"],
      [["consume", "quakes", "-p", "3"], "WEFT_PARTITION_RANGE", "partition 3"],
      [["produce", "quakes", "-p", "1"], "WEFT_PARTITION_RANGE", "partition 1"],
    ] as const) {
      const result = await place.weftline(argv);
      expect(result.words, argv.join(" ")).toContain(code);
      expect(result.words, argv.join(" ")).toContain(words);
      expect(result.exitCode, argv.join(" ")).toBe(1);
    }
    expect(await place.ok(["topic", "create", "quakes", "--if-not-exists"])).toBe("");
  });

  test("a data directory in use, of a newer format, below a file", async () => {
    const first = await place.serve();
    const second = await place.weftline(["serve"]);
    expect(second.words).toContain("WEFT_DATA_DIRECTORY_LOCKED");
    expect(second.words).toContain(String(first.facts.pid));
    expect(second.exitCode).toBe(1);
    // The one that was there is undisturbed.
    await place.ok(["topic", "create", "quakes"]);
    await first.end("SIGTERM");
    const path = place.path("weft", "catalogue");
    const header = Buffer.from(JSON.stringify({ n: 1, type: "header", format: "weftline-catalogue", version: 2 }));
    const hexadecimal = (value: number): string => value.toString(16).padStart(8, "0");
    writeFileSync(path, `${hexadecimal(header.length)} ${hexadecimal(crc32c(header))} ${header.toString()}\n`);
    expect((await place.weftline(["serve"])).words).toContain("WEFT_FORMAT_NEWER");
    writeFileSync(place.path("file"), "not a directory");
    expect((await place.weftline(["serve", "--data", "file/weft"])).exitCode).toBe(1);
  });

  test("a data directory that is not writable", async () => {
    mkdirSync(place.path("closed"));
    chmodSync(place.path("closed"), 0o500);
    // What root may do all the same is taken from it.
    const asEverybody = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] : [];
    const [program = "", ...argv] = [...asEverybody, process.execPath, cliPath, "serve", "--data", "closed/weft"];
    const { exitCode, words } = await place.startProgram(program, argv).finished;
    expect(words).toContain("WEFT_NOT_WRITABLE");
    expect(words).toContain("closed");
    expect(exitCode).toBe(1);
  });

  test("a group directory that is missing, or of no job", async () => {
    const missing = await place.weftline(["topic", "list", "--group", place.path("nowhere")]);
    expect([missing.exitCode, missing.words]).toEqual([3, expect.stringContaining("WEFT_GROUP_MISSING")]);
    expect(missing.words).toContain(place.path("nowhere"));
  });

  test("damage to stored bytes is found without a server, and the status says so", async () => {
    const server = await place.serve();
    await place.ok(["topic", "create", "quakes"]);
    await place.ok(["produce", "quakes"], { input: numbered(2000) });
    await server.end("SIGTERM");
    cpSync(place.path("weft"), place.path("copy"), { recursive: true });
    const metadata = place.path("copy", "topics", "quakes", "0", "metadata");
    const [segment] = readdirSync(metadata)
      .map((name) => ({ path: join(metadata, name), size: statSync(join(metadata, name)).size }))
      .sort((left, right) => right.size - left.size);
    if (!segment) throw new Error("there are segments");
    const bytes = readFileSync(segment.path);
    const middle = bytes.indexOf("event 1000");
    expect(middle).toBeGreaterThan(0);
    bytes[middle] = 0x45;
    writeFileSync(segment.path, bytes);
    const damaged = await place.weftline(["log", "verify", "copy", "--json"]);
    expect(damaged.exitCode).toBe(4);
    expect(parseLines(damaged.output)).toMatchObject([{ partition: "quakes/0", ok: false }]);
    expect(await place.ok(["log", "verify", "weft"])).toMatch(/2,000 events +ok/);
    truncateSync(segment.path, Math.floor(segment.size / 2));
    expect((await place.weftline(["log", "verify", "copy"])).exitCode).toBe(4);
  });
});

test("the checksum of the control plane's files is the native one", () => {
  for (const length of [0, 1, 7, 8, 63, 1000]) {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 131) & 0xff));
    expect(native().crc32c(bytes, 0)).toBe(crc32c(bytes));
  }
});

function statSizes(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
