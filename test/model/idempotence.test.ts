// Producers that come back under their name: nothing twice, nothing lost, and the older ones store nothing any more.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type Topic, attach } from "../../src/index.js";
import { type Running, Workplace, until } from "../integration/support/weftline.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  readonly n: number;
}

const programs =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs", import.meta.url));

/** The numbers of each partition, in order. */
async function everything(topic: Topic<Numbered>): Promise<number[][]> {
  const seen = Array.from({ length: topic.partitionCount }, (): number[] => []);
  for await (const { partition, metadata } of topic.consumer({ from: "earliest", until: "end" })) {
    seen[partition]?.push(metadata.n);
  }
  return seen;
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("a producer that is opened again", () => {
  let place: Place;
  beforeAll(async () => {
    place = await Place.open();
  });
  afterAll(async () => {
    await place.close();
  });

  it("knows its last stored event in each partition, over restarts of the server too", async () => {
    let topic = await place.job.createTopic<Numbered>("known", { partitions: 3 });
    let out = await topic.producer({ name: "solver" });
    expect(upTo(3).map((partition) => out.storedBefore(partition))).toEqual([undefined, undefined, undefined]);
    const other = await topic.producer({ name: "other" });
    const last = out.push({ n: 1 }, undefined, { partition: 1 });
    await last.wait();
    await other.push({ n: 0 }, undefined, { partition: 1 }).wait();
    expect(out.storedBefore(1)).toBeUndefined(); // what it stored itself its receipts say
    await other.close();
    await out.close();
    const expected = [undefined, { partition: 1, offset: last.id?.offset }, undefined];
    // Each opening begins an epoch that stores nothing; what an earlier one stored is known all the same.
    for (let restarts = 0; restarts < 3; restarts++) {
      out = await topic.producer({ name: "solver" });
      expect(upTo(3).map((partition) => out.storedBefore(partition))).toEqual(expected);
      await out.close();
      await place.restart();
      topic = await place.job.topic<Numbered>("known");
    }
    const unnamed = await topic.producer();
    expect(unnamed.storedBefore(1)).toBeUndefined();
    await unnamed.close();
  });

  it("says what is wrong with the question", async () => {
    const topic = await place.job.createTopic<Numbered>("asked");
    const out = await topic.producer({ name: "solver" });
    await errorOf("WEFT_PARTITION_RANGE", () => out.storedBefore(1));
    await errorOf("WEFT_PARTITION_RANGE", () => out.storedBefore(0.5));
    await out.close();
    await errorOf("WEFT_CLOSED", () => out.storedBefore());
  });

  it("fences the older one, whose events behind that are not stored", async () => {
    const topic = await place.job.createTopic<Numbered>("fenced");
    const older = await topic.producer({ name: "solver" });
    for (const n of upTo(10)) older.push({ n });
    await older.flush();
    const newer = await topic.producer({ name: "solver" });
    expect(newer.storedBefore()).toEqual({ partition: 0, offset: 9 });
    const refused = older.push({ n: -1 });
    await errorOf("WEFT_FENCED", () => refused.wait());
    await errorOf("WEFT_FENCED", () => older.close());
    await newer.push({ n: 10 }).wait();
    await newer.close();
    expect(await everything(topic)).toEqual([upTo(11)]);
  });
});

describe("with processes that are killed", () => {
  let workplace: Workplace;
  beforeEach(() => {
    workplace = new Workplace();
  });
  afterEach(async () => {
    await workplace.close();
  });

  it("a program goes on behind what was stored: every event exactly once, over kills of it and of the server", async () => {
    const seed = Number(process.env["WEFTLINE_TEST_SEED"] ?? Date.now() % 1_000_000);
    let state = seed;
    const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    let server = await workplace.serve(["--data", "./weft"]);
    let job = await attach(server.facts.group);
    let topic = await job.createTopic<Numbered>("resumed", { partitions: 3 });
    for (let kill = 0; kill < 8; kill++) {
      const program = workplace.startProgram(process.execPath, [
        `${programs}/resuming-producer.js`,
        server.facts.group,
      ]);
      const target = random(2000);
      await until(`run ${kill} of seed ${seed} to store ${target} events`, () => {
        if (program.ended) throw new Error(`it ended: ${program.words}`);
        return Number(program.output.toString().split("\n").at(-2) ?? -1) >= target;
      });
      if (kill % 3 === 2) {
        await job.close();
        await server.end("SIGKILL");
        server = await workplace.serve(["--data", "./weft"]);
        job = await attach(server.facts.group);
        topic = await job.topic<Numbered>("resumed");
      }
      await program.end("SIGKILL");
    }
    const seen = await everything(topic);
    for (const [partition, numbers] of seen.entries()) {
      expect(numbers, `partition ${partition}, seed ${seed}`).toEqual(upTo(numbers.length));
      expect(numbers.length).toBeGreaterThan(0);
    }
    await job.close();
  });

  it("what was stored and not acknowledged when the server died is answered as a repetition, and stored once", async () => {
    const library = workplace.path("slow_fdatasync.so");
    const source = fileURLToPath(new URL("../integration/support/slow_fdatasync.c", import.meta.url));
    execFileSync("cc", ["-std=gnu11", "-Wall", "-Werror", "-shared", "-fPIC", source, "-o", library]);
    // Written and not yet synced, so not acknowledged: long enough to be killed in.
    const slow = { LD_PRELOAD: library, FDATASYNC_MS: "300" };
    const start = async (env: Record<string, string>): Promise<[Running, string]> => {
      const argv = [`${programs}/counting-server.js`, workplace.path("weft")];
      const server = workplace.startProgram(process.execPath, argv, { env, input: "pipe" });
      const group = await until("the server's start", () => {
        if (server.ended) throw new Error(server.words);
        return server.output.toString().split("\n").at(-2);
      });
      return [server, group];
    };
    const counters = async (server: Running): Promise<Record<string, number>> => {
      const lineCount = server.output.toString().split("\n").length;
      server.child.stdin?.write(".");
      const lines = await until("its counters", () => {
        const found = server.output.toString().split("\n");
        return found.length > lineCount && found;
      });
      return (JSON.parse(lines.at(-2) ?? "") as { server: Record<string, number> }).server;
    };
    const [first, group] = await start({});
    let server = first;
    await using job = await attach(group);
    const topic = await job.createTopic<Numbered>("repeated", { durability: "synced" });
    const out = await topic.producer({ name: "solver", batchEvents: 4 });
    let pushed = 0;
    let repeated = 0;
    for (let kills = 0; repeated === 0; kills++) {
      expect(kills, "kills without a repetition").toBeLessThan(10);
      await server.end("SIGKILL");
      [server] = await start(slow);
      await out.push({ n: pushed++ }).wait(); // connected again
      const { batchesReceived = NaN } = await counters(server);
      for (let n = 0; n < 12; n++) out.push({ n: pushed++ });
      await until("the batches to arrive", () => out.batchesUnderWay === 3);
      let received = batchesReceived;
      while (received < batchesReceived + 3) received = (await counters(server))["batchesReceived"] ?? NaN;
      await server.end("SIGKILL");
      [server] = await start({});
      await out.flush();
      repeated = (await counters(server))["batchesRepeated"] ?? NaN;
    }
    await out.close();
    expect(await everything(topic)).toEqual([upTo(pushed)]);
  });
});
