// Configuration: units, errors with their place, the order of the sources, and that the docs show every setting.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { explain, explainText, settingsTable } from "../../../src/config/explain.js";
import { parseConfig } from "../../../src/config/file.js";
import { loadConfiguration } from "../../../src/config/load.js";
import { normalizeTopicConfig } from "../../../src/config/topic-config.js";
import { formatSize, formatTime, nearest, parseSize, parseTime } from "../../../src/config/units.js";
import { WeftError } from "../../../src/errors.js";

const directory = mkdtempSync(join(tmpdir(), "weftline-config-"));
afterAll(() => rmSync(directory, { recursive: true }));

function problemOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof WeftError) {
      expect(error.code).toBe("WEFT_CONFIG_INVALID");
      return error.message;
    }
    throw error;
  }
  throw new Error("it was accepted");
}

describe("units", () => {
  test.each([
    [256, 256],
    ["256", 256],
    ["64 MiB", 64 * 1024 ** 2],
    ["64MiB", 64 * 1024 ** 2],
    ["1.5 GB", 1_500_000_000],
    ["2kb", 2000],
    [" 1 TiB ", 1024 ** 4],
  ])("size %j is %d bytes", (given, bytes) => {
    expect(parseSize(given)).toEqual({ value: bytes });
  });
  test.each(["", "MiB", "1 XiB", "-1", "1e3", "1.2.3 MB", null, true, -1, 1.5, "99999999 TiB"])(
    "size %j is refused",
    (given) => {
      expect(parseSize(given)).toHaveProperty("problem");
    },
  );
  test.each([
    [250, 250],
    ["250ms", 250],
    ["60s", 60_000],
    ["1.5 s", 1500],
    ["5min", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
  ])("time %j is %d ms", (given, milliseconds) => {
    expect(parseTime(given)).toEqual({ value: milliseconds });
  });
  test("what is shown is read as the same", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 45 }), (number) => {
        expect(parseSize(formatSize(number))).toEqual({ value: number });
        expect(parseTime(formatTime(number))).toEqual({ value: number });
      }),
    );
  });
  test("nearest finds a slip of the finger and nothing else", () => {
    expect(nearest("durabilty", ["durability", "storage"])).toBe("durability");
    expect(nearest("banana", ["durability", "storage"])).toBeUndefined();
  });
});

describe("errors in a file", () => {
  test.each([
    [
      "server:\n  data: /x\n  thraeds: 4\n",
      'f.yaml:3:3: server.thraeds: "thraeds" is not known here; did you mean "threads"?',
    ],
    ["server:\n  threads: four\n", 'f.yaml:2:12: server.threads: "four" is not a whole number'],
    ["server:\n  threads: 0\n", "f.yaml:2:12: server.threads: 0 is below 1"],
    ["server:\n  slabBytes: 64 Mib ups\n", "f.yaml:2:14: server.slabBytes:"],
    ["server:\n  drainMs: 3 weeks\n", "f.yaml:2:12: server.drainMs:"],
    [
      "topics:\n  field:\n    durability: sinced\n",
      'f.yaml:3:17: topics.field.durability: "sinced" is not one of memory, written, synced',
    ],
    [
      "topics:\n  field: {partitions: 4, slots: [0, 1]}\n",
      "f.yaml:2:33: topics.field.slots: has 2 slots for 4 partitions",
    ],
    ["topics:\n  field: { storage: memory,\n    durability: synced }\n", "f.yaml:3:17: topics.field.durability:"],
    ["topics:\n  a/b: {}\n", "f.yaml:2:3: topics.a/b:"],
    ["topics:\n  f: {slots: [0, -1], partitions: 2}\n", "f.yaml:2:18: topics.f.slots[1]: -1 is below 0"],
    ["servre: {}\n", 'f.yaml:1:1: servre: "servre" is not known here; did you mean "server"?'],
    ["- a\n", "f.yaml:1:1: "],
    ["server:\n  data: [\n", "f.yaml:3:1: "],
    ["server: {}\nserver: {}\n", "f.yaml:2:1: "],
    ["server:\n\tdata: x\n", "f.yaml:2:1: "],
  ])("%j", (text, words) => {
    expect(problemOf(() => parseConfig("f.yaml", text))).toContain(words);
  });
  test("aliases cannot blow it up", () => {
    const text = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[..."bcdefg"].map((name, index) => `${name}: &${name} [${Array(10).fill(`*${"abcdef"[index]}`).join(",")}]`).join("\n")}\n`;
    expect(problemOf(() => parseConfig("f.yaml", text))).toContain("f.yaml");
  });
  test("any text is either read or refused with a place", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."server:data topics-[]{}\n  \"'&*!|>%@`#1") }), (text) => {
        try {
          parseConfig("f.yaml", text);
        } catch (error) {
          expect(error).toBeInstanceOf(WeftError);
          expect((error as WeftError).message).toMatch(/^WEFT_CONFIG_INVALID: f\.yaml/);
        }
      }),
    );
  });
});

describe("order of the sources", () => {
  const file = join(directory, "weftline.yaml");
  const site = join(directory, "site.yaml");
  writeFileSync(file, "server:\n  threads: 3\n  slabBytes: 32 MiB\ntopics:\n  field: { partitions: 4 }\n");
  writeFileSync(
    site,
    "server:\n  threads: 2\n  slabBytes: 16 MiB\n  drainMs: 90s\ntopics:\n  field: { partitions: 9 }\n  other: {}\n",
  );
  const load = (options: object = {}) => loadConfiguration({ directory, siteFile: site, environment: {}, ...options });

  test("flag, environment, file, site, default", () => {
    const environment = { WEFTLINE_SLAB_BYTES: "128 MiB", WEFTLINE_THREADS: "7" };
    const configuration = load({ environment, flags: { "server.threads": { value: "8", flag: "--threads" } } });
    const seen = Object.fromEntries(
      explain(configuration).map(({ setting, value, source, origin }) => [setting, [value, source, origin]]),
    );
    expect(seen["server.threads"]).toEqual([8, "flag", "--threads"]);
    expect(seen["server.slabBytes"]).toEqual([128 * 1024 ** 2, "environment", "WEFTLINE_SLAB_BYTES"]);
    expect(seen["server.drainMs"]).toEqual([90_000, "site", `${site}:4:12`]);
    expect(seen["client.timeoutMs"]).toEqual([30_000, "default", ""]);
    expect(explain(load()).find(({ setting }) => setting === "server.threads")).toMatchObject({
      value: 3,
      source: "file",
      origin: `${file}:2:12`,
    });
    expect(configuration.topics).toEqual({ field: { partitions: 4 }, other: {} });
    expect(explainText(configuration)).toContain("server.slabBytes = 128 MiB   (environment: WEFTLINE_SLAB_BYTES)");
  });

  test("WEFTLINE_CONFIG and --config name a file, which must be there then", () => {
    const elsewhere = join(directory, "elsewhere.yaml");
    writeFileSync(elsewhere, "server: { threads: 5 }\n");
    expect(load({ environment: { WEFTLINE_CONFIG: elsewhere } }).number("server.threads")).toBe(5);
    expect(load({ file: elsewhere }).number("server.threads")).toBe(5);
    expect(problemOf(() => load({ file: "missing.yaml" }))).toContain("missing.yaml: cannot be read");
    expect(load({ directory: tmpdir(), siteFile: "/nowhere" }).files).toEqual([]);
  });

  test("bad values of flags and variables name them", () => {
    expect(problemOf(() => load({ environment: { WEFTLINE_THREADS: "many" } }))).toContain(
      "WEFTLINE_THREADS: server.threads",
    );
    expect(problemOf(() => load({ flags: { "server.drainMs": { value: "soon", flag: "--drain" } } }))).toContain(
      "--drain",
    );
    expect(problemOf(() => load({ environment: { WEFTLINE_SLAB_BYTES: "1 MiB" } }))).toContain("below");
  });

  test("variables in paths, and one that is not set", () => {
    const environment = { WEFTLINE_DATA: "$NODE_LOCAL/${USER}/weft", NODE_LOCAL: "/mnt/bb", USER: "me" };
    expect(load({ environment }).text("server.data")).toBe("/mnt/bb/me/weft");
    const missing = problemOf(() => load({ environment: { WEFTLINE_DATA: "$NODE_LOCAL/weft" } }));
    expect(missing).toContain("$NODE_LOCAL, which is not set");
  });
});

describe("topic configs", () => {
  test("defaults follow the storage", () => {
    expect(normalizeTopicConfig(undefined)).toMatchObject({
      config: { partitions: 1, storage: "disk", durability: "written" },
    });
    expect(normalizeTopicConfig({ storage: "memory" })).toMatchObject({ config: { durability: "memory" } });
  });
  test("normal forms are stable", () => {
    const first = normalizeTopicConfig({
      segmentBytes: "8 MiB",
      options: { a: [1] },
      validator: { schema: { type: "object" } },
    });
    if (!("config" in first)) throw new Error("valid");
    expect(normalizeTopicConfig(first.config)).toEqual(first);
  });
  test("no value makes the check throw", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const result = normalizeTopicConfig(value);
        expect("config" in result || typeof result.problem.message === "string").toBe(true);
      }),
    );
  });
});

test("docs/configuration.md shows every setting as it is", () => {
  const document = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  // The formatter pads tables.
  const plain = (text: string): string => text.replaceAll(/ *\| */g, "|").replaceAll(/-{2,}/g, "--");
  expect(plain(document)).toContain(plain(settingsTable()));
});

describe("docs/configuration.md", () => {
  const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");

  test("shows a file that is valid, and uses each kind of value that it explains", () => {
    const yaml = /^```yaml\n([\s\S]*?)^```/m.exec(text)?.[1] ?? "";
    const { values } = parseConfig("weftline.yaml", yaml);
    expect(values["server"]).toEqual({ data: "$NODE_LOCAL/weft", threads: 4, slabBytes: "64 MiB", drainMs: "60s" });
    expect(Object.keys(values.topics ?? {})).toEqual(["field", "quakes", "steps"]);
    for (const config of Object.values(values.topics ?? {})) {
      expect(normalizeTopicConfig(config)).not.toHaveProperty("problem");
    }
  });

  test("shows an error as it is", () => {
    const shown = /^weftline\.yaml:\d+:\d+: .*$/m.exec(text)?.[0] ?? "";
    const file = "topics:\n  field:\n    durability: sinced\n";
    expect(problemOf(() => parseConfig("weftline.yaml", file))).toBe(`WEFT_CONFIG_INVALID: ${shown}`);
  });
});
