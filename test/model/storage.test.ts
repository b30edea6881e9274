// Where a topic's events are kept: the log provider and the storage provider in directories of their own, segments that roll, memory
// with a limit; over a restart, and until the topic is deleted.
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

import { all, attach, serve } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

let place: Place;
beforeEach(async () => {
  place = await Place.open();
});
afterEach(async () => {
  await place.close();
});

const payload = (n: number): Uint8Array => new Uint8Array(300_000).fill(n);
const bytesIn = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0);

async function readAll(name: string): Promise<number[]> {
  const topic = await place.job.topic<{ n: number }>(name);
  const seen: number[] = [];
  for await (const event of topic.consumer({ from: "earliest", until: "end", select: all })) {
    expect(event.data.every((byte) => byte === event.metadata.n) && event.data.length).toBe(300_000);
    seen.push(event.metadata.n);
  }
  return seen;
}

it("metadata and data lie in the directories that the topic names, in segments of its size, and go with it", async () => {
  const metadataDirectory = path.join(place.directory, "fast");
  const dataDirectory = path.join(place.directory, "large");
  const topic = await place.job.createTopic<{ n: number }>("images", {
    metadataDirectory,
    dataDirectory,
    segmentBytes: "1 MiB",
  });
  await using out = await topic.producer({ batchEvents: 1 });
  for (let n = 0; n < 20; n++) out.push({ n }, payload(n));
  await out.flush();
  await out.close();
  expect(bytesIn(dataDirectory)).toBeGreaterThanOrEqual(20 * 300_000);
  expect(bytesIn(metadataDirectory)).toBeLessThan(20 * 300_000);
  const segments = readdirSync(dataDirectory, { recursive: true }).filter((name) => /\d{6}/.test(String(name)));
  expect(segments.length).toBeGreaterThanOrEqual(4);
  await place.restart();
  expect(await readAll("images")).toEqual(Array.from({ length: 20 }, (_, n) => n));
  await place.job.deleteTopic("images");
  expect(
    readdirSync(dataDirectory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()),
  ).toEqual([]);
  expect(bytesIn(metadataDirectory)).toBe(0);
});

it("a directory that is another's, or cannot be, is an error of the creation, and leaves no topic", async () => {
  const taken = path.join(place.directory, "taken");
  mkdirSync(path.join(taken, "images", "0"), { recursive: true });
  writeFileSync(path.join(taken, "images", "0", "owner"), "somebody else/0\n");
  const file = path.join(place.directory, "file");
  writeFileSync(file, "");
  // Below /proc mkdir says that the directory above is not there.
  for (const dataDirectory of [taken, path.join(file, "below"), "/proc/weftline-no-such-place"]) {
    await expect(place.job.createTopic("images", { dataDirectory })).rejects.toThrow(/images/);
  }
  for (const dataDirectory of ["relative/path", "", 7]) {
    await errorOf("WEFT_CONFIG_INVALID", () => place.job.createTopic("images", { dataDirectory } as never));
  }
  expect(existsSync(path.join(taken, "images", "0", "owner"))).toBe(true);
  expect(await place.job.listTopics()).toEqual([]);
  await place.job.createTopic("images", { dataDirectory: path.join(place.directory, "free") });
});

it("a topic in memory has its limits, and starts empty", async () => {
  const topic = await place.job.createTopic<{ n: number }>("monitor", {
    storage: "memory",
    memoryDataBytes: "2 MiB",
    memoryMetadataBytes: "1 MiB",
  });
  const out = await topic.producer({ batchEvents: 1 });
  const outcomes = Array.from({ length: 10 }, (_, n) =>
    out
      .push({ n }, payload(n))
      .wait()
      .then(
        () => "stored",
        (error: unknown) => (error as { code: string }).code,
      ),
  );
  const [stored, full] = [await Promise.all(outcomes), "WEFT_NO_SPACE"];
  expect(stored.slice(0, 6)).toEqual(Array(6).fill("stored"));
  expect(new Set(stored.slice(7))).toEqual(new Set([full]));
  await errorOf("WEFT_NO_SPACE", () => out.close());
  await errorOf("WEFT_CONFIG_INVALID", () =>
    place.job.createTopic("other", { storage: "memory", dataDirectory: place.directory }),
  );
  await place.restart();
  expect(await readAll("monitor")).toEqual([]);
});

it("topics of serve() take the same settings", async () => {
  const data = path.join(place.directory, "second");
  const elsewhere = path.join(place.directory, "elsewhere");
  await place.server.close();
  await place.job.close();
  place.server = await serve({
    data,
    signals: false,
    topics: { images: { dataDirectory: elsewhere, segmentBytes: "1 MiB" } },
  });
  place.job = await attach(place.server.group);
  expect((await place.job.topic("images")).description).toMatchObject({
    dataDirectory: elsewhere,
    segmentBytes: 1 << 20,
  });
  expect(existsSync(path.join(elsewhere, "images", "0"))).toBe(true);
});
