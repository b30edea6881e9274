// The catalogue's file: what it keeps, what a crash at any byte leaves, what is damage, and how it is made short again.
import { describe, expect, test } from "vitest";
import { Catalogue, type CatalogueEntry } from "../../../src/control/catalogue.js";
import { encodeRecord } from "../../../src/control/record-file.js";
import { describeTopic, type TopicDescription } from "../../../src/control/topic-description.js";
import { normalizeTopicConfig } from "../../../src/config/topic-config.js";
import { WeftError } from "../../../src/errors.js";
import { crc32c, failureOf, MemoryFiles } from "./support.js";

const PATH = "/data/catalogue";

function topic(name: string, number: number): TopicDescription {
  const normalized = normalizeTopicConfig({ partitions: 2 });
  if (!("config" in normalized)) throw new Error("the config is valid");
  const uuid = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
  return describeTopic(name, uuid, "2026-01-01T00:00:00.000Z", normalized.config, [0, 1]);
}

async function open(files: MemoryFiles, warnings: string[] = []): Promise<Catalogue> {
  return Catalogue.open({ files, data: "/data", checksum: crc32c, warn: (text) => void warnings.push(text) });
}

function stored(files: MemoryFiles): Buffer {
  return files.files.get(PATH)?.bytes ?? Buffer.alloc(0);
}

function withBytes(bytes: Buffer): MemoryFiles {
  const files = new MemoryFiles();
  files.files.set(PATH, { bytes: Buffer.from(bytes), synced: Buffer.from(bytes) });
  return files;
}

function summary(catalogue: Catalogue): string[] {
  return catalogue.entries().map((entry: CatalogueEntry) => `${entry.topic.name} ${entry.state} ${entry.requestId}`);
}

async function filled(): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const catalogue = await open(files);
  const [alpha, beta, gamma] = [topic("alpha", 1), topic("beta", 2), topic("gamma", 3)];
  await catalogue.begin(alpha, "request-1");
  await catalogue.setState(alpha.uuid, "created");
  await catalogue.begin(beta, "request-2");
  await catalogue.begin(gamma, "request-3");
  await catalogue.setState(gamma.uuid, "removed");
  await catalogue.close();
  return files;
}

describe("catalogue", () => {
  test("says after reopening what it said before", async () => {
    const catalogue = await open(await filled());
    expect(summary(catalogue)).toEqual(["alpha created request-1", "beta creating request-2"]);
    expect(catalogue.get("alpha")?.topic).toEqual(topic("alpha", 1));
    expect(catalogue.get("gamma")).toBeUndefined();
    expect(catalogue.begunCount).toBe(3);
  });

  test("is synced before a change resolves", async () => {
    const files = await filled();
    files.losePower();
    expect(summary(await open(files))).toEqual(["alpha created request-1", "beta creating request-2"]);
  });

  test("a tail torn at any byte is cut, with a warning, and what was before it stays", async () => {
    const whole = stored(await filled());
    const ends = [...whole.keys()].filter((at) => whole[at] === 0x0a).map((at) => at + 1);
    for (let length = 0; length <= whole.length; length++) {
      const files = withBytes(whole.subarray(0, length));
      const warnings: string[] = [];
      const catalogue = await open(files, warnings);
      const kept = ends.filter((end) => end <= length).at(-1) ?? 0;
      const torn = length !== kept;
      expect(warnings.length, `torn at ${length}`).toBe(torn ? 1 : 0);
      if (torn) expect(warnings[0]).toContain(`at byte ${kept}`);
      if (kept > 0) expect(stored(files).length, `torn at ${length}`).toBe(kept);
      // It takes records again, and they are read again.
      await catalogue.begin(topic("later", 9), "request-9");
      await catalogue.close();
      expect((await open(files)).get("later")?.state).toBe("creating");
    }
  });

  test("a zero-filled tail is a torn tail", async () => {
    const whole = stored(await filled());
    const files = withBytes(Buffer.concat([whole, Buffer.alloc(300)]));
    const warnings: string[] = [];
    expect(summary(await open(files, warnings))).toHaveLength(2);
    expect(warnings).toHaveLength(1);
    expect(stored(files)).toEqual(whole);
  });

  test("a flipped bit before the last record is damage: WEFT_CORRUPT, and the file is left as it is", async () => {
    const whole = stored(await filled());
    const lastRecord = whole.lastIndexOf(0x0a, whole.length - 2) + 1;
    for (let at = 0; at < lastRecord; at += 7) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x04;
      const files = withBytes(damaged);
      const { code, message } = await failureOf(() => open(files));
      expect(code, `bit flipped in byte ${at}`).toBe("WEFT_CORRUPT");
      expect(message).toContain(PATH);
      expect(stored(files)).toEqual(damaged);
    }
  });

  test("a record that is missing in the middle is damage", async () => {
    const whole = stored(await filled());
    const first = whole.indexOf(0x0a) + 1;
    const second = whole.indexOf(0x0a, first) + 1;
    const files = withBytes(Buffer.concat([whole.subarray(0, first), whole.subarray(second)]));
    expect((await failureOf(() => open(files))).code).toBe("WEFT_CORRUPT");
  });

  test("a newer format is WEFT_FORMAT_NEWER, another file is WEFT_CORRUPT", async () => {
    const header = (members: object): Buffer => Buffer.from(encodeRecord({ n: 1, type: "header", ...members }, crc32c));
    const newer = await failureOf(() => open(withBytes(header({ format: "weftline-catalogue", version: 2 }))));
    expect(newer.code).toBe("WEFT_FORMAT_NEWER");
    expect(newer.message).toContain("version 2");
    expect((await failureOf(() => open(withBytes(header({ format: "other", version: 1 }))))).code).toBe("WEFT_CORRUPT");
  });

  test("a failed write is undone, and the catalogue goes on", async () => {
    const files = await filled();
    const catalogue = await open(files);
    files.failures.push({ kind: "append", error: new WeftError("WEFT_NO_SPACE", "full") });
    expect((await failureOf(() => catalogue.begin(topic("delta", 4), "r"))).code).toBe("WEFT_NO_SPACE");
    expect(catalogue.get("delta")).toBeUndefined();
    await catalogue.begin(topic("delta", 4), "r");
    await catalogue.close();
    expect((await open(files)).get("delta")?.state).toBe("creating");
  });

  test("a failed sync is never tried again: no more changes, but what there was stays readable", async () => {
    const files = await filled();
    const catalogue = await open(files);
    files.failures.push({ kind: "sync", error: new WeftError("WEFT_SYNC_FAILED", "the device is gone") });
    expect((await failureOf(() => catalogue.begin(topic("delta", 4), "r"))).code).toBe("WEFT_SYNC_FAILED");
    const again = await failureOf(() => catalogue.begin(topic("delta", 4), "r"));
    expect(again.code).toBe("WEFT_SYNC_FAILED");
    expect(again.message).toContain("start the server again");
    expect(catalogue.get("alpha")?.state).toBe("created");
  });

  test("compaction keeps what counts, and the numbers go on", async () => {
    const files = new MemoryFiles();
    const catalogue = await open(files);
    await catalogue.begin(topic("kept", 1), "request-1");
    await catalogue.setState(topic("kept", 1).uuid, "created");
    for (let number = 2; number < 100; number++) {
      await catalogue.begin(topic("passing", number), "r");
      await catalogue.setState(topic("passing", number).uuid, "removed");
    }
    expect(stored(files).toString().split("\n").length).toBeLessThan(80);
    await catalogue.close();
    const again = await open(files);
    expect(summary(again)).toEqual(["kept created request-1"]);
    await again.begin(topic("new", 200), "r");
    await again.close();
    expect(summary(await open(files))).toEqual(["kept created request-1", "new creating r"]);
  });

  test("a crash at each step of a long life with compactions loses nothing that resolved", async () => {
    let finished = false;
    for (let diesAt = 0; !finished; diesAt += 3) {
      const files = new MemoryFiles();
      files.diesAt = diesAt;
      const model = new Map<string, string>();
      let attempted: [string, string] | undefined;
      try {
        const catalogue = await open(files);
        for (let number = 1; number < 45; number++) {
          const each = topic(`t${number % 4}`, number);
          attempted = [each.name, "creating"];
          await catalogue.begin(each, "r");
          model.set(...attempted);
          attempted = [each.name, "removed"];
          await catalogue.setState(each.uuid, "removed");
          model.delete(each.name);
          attempted = undefined;
        }
        finished = true;
      } catch {
        // died
      }
      files.revive();
      if (diesAt % 2 === 0) files.losePower();
      const after = new Map((await open(files)).entries().map(({ topic: { name }, state }) => [name, state as string]));
      // What was under way may have happened or not; everything else is as it was.
      if (attempted) {
        model.delete(attempted[0]);
        after.delete(attempted[0]);
      }
      expect(after, `died at operation ${diesAt}`).toEqual(model);
    }
  });

  test("without a data directory it lasts as long as the process", async () => {
    const files = new MemoryFiles();
    const catalogue = await Catalogue.open({ files, data: undefined, checksum: crc32c, warn: () => undefined });
    await catalogue.begin(topic("alpha", 1), "r");
    await catalogue.setState(topic("alpha", 1).uuid, "created");
    expect(catalogue.get("alpha")?.state).toBe("created");
    expect(files.files.size).toBe(0);
  });
});
