// The command line without a server: parsing, help, exit statuses, where data and words go, and the pieces that read
// and write lines.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { verifyRow } from "../../../src/cli/commands/inspect.js";
import { checkLine, LinePusher, summaryText } from "../../../src/cli/commands/produce.js";
import { configOfFlags } from "../../../src/cli/commands/topic.js";
import { isLaunched } from "../../../src/cli/command-context.js";
import { EXIT, exitCodeOf, exitCodeOfSignal } from "../../../src/cli/exit-codes.js";
import { LINE_BYTES_MAX, readLines } from "../../../src/cli/lines.js";
import { formatTimeNs, parseFrom, parsePartitions, parseUntil } from "../../../src/cli/positions.js";
import { buildProgram, run } from "../../../src/cli/program.js";
import { columns, humanBytes, ReaderGone, Terminal } from "../../../src/cli/terminal.js";
import { WeftError } from "../../../src/errors.js";
import { PackedCodec } from "../../../src/packed/codec.js";
import { recordMemory } from "../../../src/packed/writer.js";
import { EncodedJson } from "../../../src/producer/metadata.js";

const directory = mkdtempSync(join(tmpdir(), "weftline-cli-"));
afterAll(() => rmSync(directory, { recursive: true }));

class Capture extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function weftline(...argv: string[]): Promise<{ exitCode: number; output: string; words: string }> {
  // No server is being started anywhere here.
  return weftlineIn({ WEFTLINE_SERVER_WAIT: "0" }, ...argv);
}

async function weftlineIn(
  environment: Record<string, string>,
  ...argv: string[]
): Promise<{ exitCode: number; output: string; words: string }> {
  const output = new Capture();
  const words = new Capture();
  const exitCode = await run(argv, { input: new PassThrough(), output, words, environment, directory });
  return { exitCode, output: output.text, words: words.text };
}

describe("the command line", () => {
  test("help goes to stdout with status 0, for every command, with examples", async () => {
    for (const command of [
      [],
      ["serve"],
      ["topic", "create"],
      ["topic", "list"],
      ["topic", "describe"],
      ["produce"],
      ["consume"],
      ["log", "verify"],
      ["config", "explain"],
      ["doctor"],
      ["status"],
      ["stop"],
    ]) {
      const { exitCode, output, words } = await weftline(...command, "--help");
      expect(exitCode, command.join(" ")).toBe(0);
      expect(output, command.join(" ")).toContain("Usage: weftline");
      expect(output, command.join(" ")).toContain("Examples:\n  ");
      expect(output).toContain("--json");
      expect(words).toBe("");
    }
  });

  test("the version", async () => {
    expect(await weftline("--version")).toMatchObject({
      exitCode: 0,
      output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    });
  });

  test.each([
    [["frobnicate"], "unknown command"],
    [["serv"], "Did you mean serve?"],
    [["serve", "--dta", "x"], "Did you mean --data?"],
    [["topic"], "Usage"],
    [["consume", "x", "--from", "time:2999-01-01T00:00:00Z"], "before 2554"],
    [["consume", "--json"], '"code":"WEFT_INVALID_ARGUMENT","message":"missing required argument'],
    [["topic", "create"], "missing required argument"],
    [["topic", "create", "x", "--partitions", "many"], "partitions"],
    [["topic", "create", "x", "--partitions", "0"], "partitions: 0 is below 1"],
    [["topic", "create", "x", "--durability", "sinced"], "memory, written, synced"],
    [["topic", "create", "x", "--storage", "memory", "--durability", "synced"], "durability"],
    [["topic", "create", "x", "--slots", "0,one"], "slots[1]"],
    [["consume", "x", "--from", "yesterday"], "earliest, latest"],
    [["consume", "x", "--until", "offset:x"], "end, offset:N, count:N"],
    [["consume", "x", "--partition", "7-3"], "0,2,5-7"],
    [["produce", "x", "--batch", "0"], "--batch"],
    [["produce", "x", "--partition", "1,2"], "one --partition"],
    [["serve", "--threads", "0"], "--threads"],
    [["serve", "--memory", "--data", "x"], "exclude each other"],
    [["serve", "--drain", "soon"], "--drain"],
    [["config", "explain", "--config", "missing.yaml"], "missing.yaml"],
    [["log", "verify", "nowhere"], "not a data directory"],
  ])("%j is refused with status 2 and words that help", async (argv, words) => {
    const result = await weftline(...argv);
    expect(result.words).toContain(words);
    expect(result.output).toBe("");
    expect(result.exitCode).toBe(2);
  });

  test("without a job: status 3, and what to do", async () => {
    for (const argv of [["topic", "list"], ["produce", "x"], ["consume", "x"], ["status"]]) {
      const { exitCode, words, output } = await weftline(...argv);
      expect(exitCode, argv.join(" ")).toBe(3);
      expect(words).toContain("WEFT_GROUP_MISSING");
      expect(words).toContain("weftline serve");
      expect(output).toBe("");
    }
  });

  test("with --json an error is one line of JSON on stderr", async () => {
    const { exitCode, words } = await weftline("topic", "list", "--json");
    expect(exitCode).toBe(3);
    expect(JSON.parse(words)).toMatchObject({ error: { code: "WEFT_GROUP_MISSING", canRetry: true } });
  });

  test("config explain, in words and as JSON", async () => {
    mkdirSync(join(directory, "site"), { recursive: true });
    writeFileSync(join(directory, "site", "my.yaml"), "server: { threads: 2 }\n");
    const { output, exitCode } = await weftlineIn(
      { WEFTLINE_SLAB_BYTES: "128 MiB" },
      "config",
      "explain",
      "-c",
      "site/my.yaml",
    );
    expect(exitCode).toBe(0);
    expect(output).toContain("server.slabBytes = 128 MiB   (environment: WEFTLINE_SLAB_BYTES)");
    expect(output).toContain("server.threads = 2   (file: ");
    const json = JSON.parse((await weftline("config", "explain", "--json")).output) as {
      settings: { setting: string }[];
    };
    expect(json.settings.map(({ setting }) => setting)).toContain("client.deliveryTimeoutMs");
  });

  test("a launcher is seen by its variables", () => {
    expect(isLaunched({})).toBe(false);
    for (const name of ["PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"])
      expect(isLaunched({ [name]: "0" })).toBe(true);
  });
});

describe("flags of topic create", () => {
  test("become a config with nothing that was not said", () => {
    expect(configOfFlags({})).toEqual({});
    expect(configOfFlags({ partitions: "2", durability: "synced", segmentBytes: "64 MiB", slots: "0,1" })).toEqual({
      partitions: 2,
      durability: "synced",
      segmentBytes: "64 MiB",
      slots: [0, 1],
    });
  });
});

describe("positions", () => {
  test("from and until", () => {
    expect(parseFrom("earliest")).toEqual({ kind: "earliest" });
    expect(parseFrom("offset:12")).toEqual({ kind: "offset", offset: 12 });
    expect(parseFrom("time:2026-01-31T12:00:00.5Z")).toEqual({ kind: "time", timeNs: 1769860800500000000n });
    expect(parseUntil(undefined)).toEqual({ kind: "never" });
    expect(parseUntil("count:0")).toEqual({ kind: "count", count: 0 });
    for (const bad of ["", "offset:", "offset:-1", "offset:1.5", "offset:99999999999999999999", "time:noon", "end"]) {
      expect(() => parseFrom(bad), bad).toThrow(WeftError);
    }
  });
  test("partitions", () => {
    expect(parsePartitions("3")).toEqual([3]);
    expect(parsePartitions("5-7,0,6")).toEqual([0, 5, 6, 7]);
    for (const bad of ["", "a", "1-", "-1", "3-1", "0-99999", "1-2-3"])
      expect(() => parsePartitions(bad), bad).toThrow();
  });
  test("times keep their microseconds", () => {
    expect(formatTimeNs(1769860800500001999n)).toBe("2026-01-31T12:00:00.500001Z");
    expect(formatTimeNs(0n)).toBe("1970-01-01T00:00:00.000000Z");
  });
});

async function linesOf(chunks: (Uint8Array | string)[]): Promise<[number, string][]> {
  const lines: [number, string][] = [];
  async function* source(): AsyncGenerator<Uint8Array | string> {
    yield* chunks;
  }
  for await (const some of readLines(source())) {
    for (const { number, bytes } of some) lines.push([number, Buffer.from(bytes).toString("latin1")]);
  }
  return lines;
}

describe("lines", () => {
  test("are the same however the bytes arrive", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: fc.constantFrom("a", "é", " ", "\r", '"') })),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
        async (texts, ended, cuts) => {
          const whole = Buffer.from(texts.join("\n") + (ended ? "\n" : ""));
          const expected = texts
            .map((text, index) => [index + 1, Buffer.from(text.replace(/\r$/, "")).toString("latin1")])
            .filter(([, text]) => text !== "");
          const chunks: Buffer[] = [];
          for (let at = 0, cut = 0; at < whole.length; cut++) {
            const length = cuts[cut % cuts.length] ?? 1;
            chunks.push(whole.subarray(at, at + length));
            at += length;
          }
          expect(await linesOf(chunks)).toEqual(expected);
        },
      ),
    );
  });
  test("one without an end is bounded, and what came before it is given", async () => {
    const chunk = Buffer.alloc(1 << 20, 0x61);
    const seen: number[] = [];
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("1\n2\n");
      for (;;) yield chunk;
    }
    const error = await (async () => {
      for await (const some of readLines(endless())) for (const { number } of some) seen.push(number);
    })().catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: "WEFT_EVENT_TOO_LARGE",
      message: expect.stringContaining(`line 3 is longer than ${LINE_BYTES_MAX}`) as string,
    });
    expect(seen).toEqual([1, 2]);
  });
  test("checkLine keeps the text as it is, and says what is wrong", () => {
    const odd = '  {"a" : 1.50, "é":"\\u00e9", "a":2}  ';
    expect(checkLine(Buffer.from(odd))).toEqual({ text: odd, value: { a: 2, é: "é" } });
    expect(checkLine(Buffer.from("{"))).toMatchObject({ problem: expect.stringContaining("is not JSON") as string });
    expect(checkLine(Buffer.from([0x22, 0xff, 0x22]))).toEqual({ problem: "is not UTF-8" });
  });
});

describe("pushing lines", () => {
  const json = { serializer: "json", codec: undefined, custom: undefined } as const;
  function producer(refuse: (number: number) => WeftError | undefined) {
    const pushed: unknown[] = [];
    let ready = 0;
    let calls = 0;
    return {
      pushed,
      get ready() {
        return ready;
      },
      producer: {
        push(metadata: unknown) {
          const error = refuse(calls++);
          if (error) throw error;
          pushed.push(metadata instanceof EncodedJson ? metadata.text : metadata);
        },
        ready() {
          ready++;
          return Promise.resolve();
        },
      } as never,
    };
  }

  test("waits while the producer is full, and loses nothing", async () => {
    const fake = producer((call) => (call % 3 === 0 ? new WeftError("WEFT_BUSY", "full") : undefined));
    const pusher = new LinePusher(fake.producer, json, undefined, () => undefined);
    for (let number = 1; number <= 10; number++) await pusher.push(number, Buffer.from(`{"n":${number}}`));
    expect(fake.pushed).toHaveLength(10);
    expect(fake.ready).toBeGreaterThan(3);
    expect(pusher).toMatchObject({ events: 10, badLines: 0 });
  });

  test("ends at the first event that failed, also while it waits for room", async () => {
    const failure = new WeftError("WEFT_DELIVERY_TIMED_OUT", "late");
    const fake = producer(() => new WeftError("WEFT_BUSY", "full"));
    const failing = fake.producer as { failure?: WeftError; ready: () => Promise<void> };
    failing.ready = () => {
      failing.failure = failure;
      return Promise.resolve();
    };
    const pusher = new LinePusher(fake.producer, json, undefined, () => undefined);
    await expect(pusher.push(1, Buffer.from("{}"))).rejects.toBe(failure);
    expect(pusher.events).toBe(0);
  });

  test("names bad lines, a bounded number of them, and goes on", async () => {
    const said: string[] = [];
    const fake = producer(() => undefined);
    const pusher = new LinePusher(fake.producer, json, undefined, (text) => void said.push(text));
    for (let number = 1; number <= 40; number++) await pusher.push(number, Buffer.from(number % 2 ? "{}" : "{bad"));
    expect(pusher).toMatchObject({ events: 20, badLines: 20 });
    expect(said).toHaveLength(11);
    expect(said[0]).toMatch(/^line 2 is not JSON/);
  });

  test("makes records for packed metadata, and names the field of a line that is none", async () => {
    const codec = new PackedCodec({ fields: [{ name: "step", type: "u32" }] }, "steps");
    const bytes = new Uint8Array(8);
    const said: string[] = [];
    const pushed: unknown[] = [];
    const out = {
      push(metadata: unknown) {
        codec.write(recordMemory(bytes), 0, 8, metadata);
        pushed.push(metadata);
      },
    } as never;
    const pusher = new LinePusher(
      out,
      { serializer: "packed", codec, custom: undefined },
      undefined,
      (text) => void said.push(text),
    );
    const lines = ['{"step":1}', '{"step":-1}', '{"stop":1}', "{}", "[1]", "{", '{"step":2}'];
    for (const [index, line] of lines.entries()) await pusher.push(index + 1, Buffer.from(line));
    expect(pushed).toEqual([{ step: 1 }, { step: 2 }]);
    expect(said.map((line) => line.slice(0, 90))).toEqual([
      "line 2 has no record: field 'step' (u32) is -1; it takes whole numbers of 0 to 4,294,967,295; left out".slice(
        0,
        90,
      ),
      'line 3 has a member "stop", which the topic\'s schema has not; did you mean "step"?; left out'.slice(0, 90),
      "line 4 has no record: field 'step' (u32) is missing; it takes whole numbers of 0 to 4,294,967,295".slice(0, 90),
      "line 5 is [1], not an object with the fields of the topic's schema; left out".slice(0, 90),
      expect.stringMatching(/^line 6 is not JSON/) as string,
    ]);
  });
});

describe("what is shown", () => {
  test("summaries, sizes, columns", () => {
    const summary = { events: 4912, bytes: 1_100_000, seconds: 0.9, durability: "synced", badLines: 0 };
    expect(summaryText(summary)).toBe("4,912 events, 1.1 MB, 0.9 s, all synced");
    expect(summaryText({ ...summary, durability: "memory", badLines: 3 })).toBe(
      "4,912 events, 1.1 MB, 0.9 s, all in memory; 3 bad lines left out",
    );
    expect([0, 999, 1000, 1_234_567, 5e12].map(humanBytes)).toEqual(["0 B", "999 B", "1.0 kB", "1.2 MB", "5.0 TB"]);
    expect(
      columns([
        verifyRow({ partition: "quakes/0", events: 2456, ok: true }),
        verifyRow({ partition: "q/1", events: 1, ok: false, damage: "torn" }),
      ]),
    ).toBe("partition quakes/0   2,456 events   ok\npartition q/1        1 events       DAMAGED: torn\n");
  });

  test("a reader that goes away is no failure", async () => {
    const output = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("EPIPE"), { code: "EPIPE" }));
      },
    });
    const words = new Capture();
    const terminal = new Terminal({ input: new PassThrough(), output, words, environment: {}, directory });
    await expect(
      (async () => {
        for (let number = 0; number < 100; number++) {
          await terminal.write("line\n");
          await new Promise(setImmediate);
        }
      })(),
    ).rejects.toBeInstanceOf(ReaderGone);
    expect(words.text).toBe("");
    expect(
      await run(["config", "explain"], { input: new PassThrough(), output, words, environment: {}, directory }),
    ).toBe(0);
  });

  test("of an error and one while closing the first decides, and both are told", () => {
    const words = new Capture();
    const terminal = new Terminal({
      input: new PassThrough(),
      output: new Capture(),
      words,
      environment: {},
      directory,
    });
    const both = Object.assign(new Error("suppressed"), {
      error: new WeftError("WEFT_RANK_LOST", "MPI was not finalized"),
      suppressed: new WeftError("WEFT_GROUP_MISSING", "no job"),
    });
    terminal.fail(both);
    expect(words.text).toMatch(/^weftline: WEFT_GROUP_MISSING: no job\n.*\nweftline: while closing: WEFT_RANK_LOST/);
    expect(exitCodeOf(both)).toBe(3);
  });

  test("progress is shown on a terminal only", () => {
    const words = Object.assign(new Capture(), { isTTY: false });
    const streams = { input: new PassThrough(), output: new Capture(), words, environment: {}, directory };
    new Terminal(streams).progress("1 event");
    expect(words.text).toBe("");
    words.isTTY = true;
    const terminal = new Terminal(streams);
    terminal.progress("1 event");
    terminal.say("done");
    expect(words.text).toBe("\r\u001b[K1 event\r\u001b[Kdone\n");
  });
});

describe("docs/cli.md", () => {
  const text = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/^```\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");
  const streams = () => ({
    input: new PassThrough(),
    output: new Capture(),
    words: new Capture(),
    environment: {},
    directory,
  });

  test("lists every command and no other", () => {
    const known = buildProgram(new Terminal(streams()), () => undefined)
      .commands.flatMap((command) =>
        command.commands.length === 0
          ? [command.name()]
          : command.commands.map((inner) => `${command.name()} ${inner.name()}`),
      )
      .filter((name) => name !== "help");
    const listed = (blocks[0] ?? "")
      .split("\n")
      .filter((line) => line !== "")
      .flatMap((line) => {
        const [, words = ""] = /^weftline (.*?) {2,}/.exec(line) ?? [];
        const [first = "", ...rest] = words
          .replace(/[A-Z[\]]/g, "")
          .trim()
          .split(" | ");
        const parent = first.includes(" ") ? `${first.split(" ")[0] ?? ""} ` : "";
        return [first, ...rest.map((name) => `${parent}${name}`)];
      });
    expect(listed.sort()).toEqual(known.sort());
  });

  test("names every exit status", () => {
    const listed = [...text.matchAll(/^\| ([\d, ]+?) +\|/gm)].flatMap(([, numbers = ""]) =>
      numbers.split(", ").map(Number),
    );
    expect(listed).toEqual([...Object.values(EXIT), exitCodeOfSignal("SIGINT"), exitCodeOfSignal("SIGTERM")]);
  });

  test("shows the summary, an event and an error as they are printed", () => {
    const shown = { events: 4912, bytes: 1_104_000, seconds: 0.9, durability: "synced", badLines: 0 };
    expect(blocks).toContain(`${summaryText(shown)}\n`);
    expect(text).toContain(JSON.stringify(shown));
    const verified = columns([
      verifyRow({ partition: "quakes/0", events: 2456, ok: true }),
      verifyRow({ partition: "quakes/1", events: 2456, ok: true }),
    ]);
    expect(blocks).toContain(verified);
  });
});
