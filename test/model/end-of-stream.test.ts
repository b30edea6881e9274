// The end of a stream: a topic that is sealed, one whose producers closed, one of whose producers died. Loops end by
// themselves, behind the last event, also after the server was started again.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type Topic, attach } from "../../src/index.js";
import { Place, errorOf } from "./support.js";

interface Numbered {
  n: number;
}

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(async () => {
  await place.close();
});

async function readAll(topic: Topic<Numbered>): Promise<number[]> {
  const read: number[] = [];
  // No `until`: the loop ends because the topic does.
  for await (const event of topic.consumer({ from: "earliest", signal: AbortSignal.timeout(30_000) })) {
    read.push(event.metadata.n);
  }
  return read.sort((left, right) => left - right);
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** A producer in a process of its own, which can die: says "stored" when its events are. */
async function producerProcess(topic: string, name: string, events: number): Promise<ChildProcess> {
  const program = fileURLToPath(new URL("../../build/ts/test/programs/mortal-producer.js", import.meta.url));
  const child = spawn(process.execPath, [program, place.server.group, topic, name, String(events)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return child;
}

describe.each(["disk", "memory"] as const)("a sealed topic, storage %s", (storage) => {
  it("ends those who read it, takes no more, and stays so", async () => {
    const name = `sealed-${storage}`;
    const topic = await place.job.createTopic<Numbered>(name, { partitions: 3, storage });
    const out = await topic.producer();
    const reading = readAll(topic); // before anything is there
    for (let n = 0; n < 1000; n++) {
      while (out.queued > 500) await out.ready();
      out.push({ n });
    }
    await out.flush();
    expect((await place.job.sealTopic(name)).sealed).toBe(true);
    expect(await reading).toEqual(upTo(1000));
    expect(await readAll(topic)).toEqual(upTo(1000)); // one that comes later

    const late = out.push({ n: 1000 });
    await errorOf("WEFT_TOPIC_SEALED", () => out.flush());
    await errorOf("WEFT_TOPIC_SEALED", () => late.wait());
    await out.close();
    await errorOf("WEFT_TOPIC_SEALED", () => topic.producer());
    await place.job.sealTopic(name); // again: nothing happens
    if (storage === "memory") return;
    await place.restart();
    const again = await place.job.topic<Numbered>(name);
    expect(again.description.sealed).toBe(true);
    expect(await readAll(again)).toEqual(upTo(1000));
    await errorOf("WEFT_TOPIC_SEALED", () => again.producer());
  });

  it("that is empty ends at once", async () => {
    const topic = await place.job.createTopic<Numbered>(`empty-${storage}`, { partitions: 2, storage });
    const reading = readAll(topic);
    await place.job.sealTopic(`empty-${storage}`);
    expect(await reading).toEqual([]);
  });
});

it("events that the servers accepted before the seal are stored, and none after it", async () => {
  const topic = await place.job.createTopic<Numbered>("racing", { partitions: 2, durability: "synced" });
  const out = await topic.producer({ batchEvents: 8 });
  const stored: number[] = [];
  const outcomes: Promise<void>[] = [];
  const push = (n: number): void => {
    outcomes.push(
      out
        .push({ n })
        .wait()
        .then(() => void stored.push(n))
        .catch(() => undefined),
    );
  };
  for (let n = 0; n < 400; n++) push(n);
  const sealing = place.job.sealTopic("racing");
  for (let n = 400; n < 800; n++) push(n);
  await sealing;
  await Promise.all(outcomes);
  await out.close().catch(() => undefined);
  expect(await readAll(topic)).toEqual(stored.sort((left, right) => left - right));
});

describe("a topic with a number of producers", () => {
  it("ends when all of them closed, goes on when one comes back, and knows them over a restart", async () => {
    const topic = await place.job.createTopic<Numbered>("counted", { partitions: 2, producers: 2 });
    const [first, second] = [await topic.producer({ name: "a" }), await topic.producer({ name: "b" })];
    const reading = readAll(topic);
    for (let n = 0; n < 10; n++) (n % 2 === 0 ? first : second).push({ n });
    await first.close();
    await errorOf("WEFT_LIMIT", () => topic.producer({ name: "c" }));
    await errorOf("WEFT_INVALID_ARGUMENT", () => topic.producer());
    second.push({ n: 10 });
    await second.close();
    expect(await reading).toEqual(upTo(11));

    // The next job goes on with the same names.
    await place.restart();
    const again = await place.job.topic<Numbered>("counted");
    expect(await readAll(again)).toEqual(upTo(11));
    const back = await again.producer({ name: "b" });
    const more = readAll(again);
    back.push({ n: 11 });
    await back.close();
    expect(await more).toEqual(upTo(12));
  });

  it("says at its end that one died, with all that it stored", async () => {
    const topic = await place.job.createTopic<Numbered>("mortal", { producers: 2, producerTimeoutMs: 1500 });
    const child = await producerProcess("mortal", "dies", 5);
    const survivor = await topic.producer({ name: "lives" });
    const consumer = topic.consumer({ from: "earliest", signal: AbortSignal.timeout(60_000) });
    const read: number[] = [];
    const reading = errorOf("WEFT_PRODUCER_LOST", async () => {
      for await (const event of consumer) read.push(event.metadata.n);
    });
    child.kill("SIGKILL");
    survivor.push({ n: 5 });
    await survivor.close();
    const { message } = await reading;
    expect(message).toContain("'dies'");
    expect(message).toContain("1500 ms");
    expect(read.sort()).toEqual(upTo(6));
    await consumer.close();
    // It comes back under its name, and closes: then the topic ends well.
    const back = await topic.producer({ name: "dies" });
    await back.close();
    expect(await readAll(topic)).toEqual(upTo(6));
  });

  it("waits for one that comes back in time, and for one that was away while the server was", async () => {
    const topic = await place.job.createTopic<Numbered>("patient", { producers: 1, producerTimeoutMs: "20s" });
    const child = await producerProcess("patient", "only", 3);
    child.kill("SIGKILL");
    await once(child, "exit");
    await place.restart();
    const again = await place.job.topic<Numbered>("patient");
    const reading = readAll(again);
    const back = await again.producer({ name: "only" });
    back.push({ n: 3 });
    await back.close();
    expect(await reading).toEqual(upTo(4));
    expect(topic.name).toBe(again.name);
  });
});

it("who comes from outside the process hears of the end as well", async () => {
  const topic = await place.job.createTopic<Numbered>("outside", { storage: "memory", producers: 1 });
  await using other = await attach(place.server.group);
  const reading = readAll(await other.topic<Numbered>("outside"));
  const out = await topic.producer({ name: "only" });
  out.push({ n: 0 });
  await out.close();
  expect(await reading).toEqual([0]);
});
