// What a signal leaves behind: a producing command and a server, at rest, under load, and when the signal comes twice.
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { attach, type EventId, isWeftError, type Receipt } from "../../src/index.js";
import { parseLines, until, Workplace } from "./support/weftline.js";

const program =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));

interface Line {
  partition: number;
  offset: number;
  metadata: { n: number };
}

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

async function stored(topic: string): Promise<Line[]> {
  return parseLines<Line>(await place.ok(["consume", topic, "--until", "end"]));
}

describe("weftline produce", () => {
  it.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("ended by %s stores what it took, says so, and exits with %i", async (signal, exitCode) => {
    await place.serve();
    await place.ok(["topic", "create", "load", "--durability", "synced"]);
    const producer = place.start(["produce", "load"], { input: "pipe" });
    let next = 0;
    const { stdin } = producer.child;
    const feed = (): void => {
      while (!producer.ended && stdin?.write(`{"n":${next++}}\n`) === true);
    };
    stdin?.on("drain", feed);
    feed();
    await until("thousands of lines", () => next > 20_000);
    const ended = await producer.end(signal);
    expect(ended, ended.words).toMatchObject({ exitCode, signal: null });
    const [, events] = /([\d,]+) events, .*all synced/.exec(ended.words) ?? [];
    const count = Number(events?.replaceAll(",", ""));
    expect(ended.words).toContain(`${signal}: the rest of the input was not read`);
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(next);
    expect((await stored("load")).map(({ metadata }) => metadata.n)).toEqual(
      Array.from({ length: count }, (_, index) => index),
    );
  });
});

describe("a server", () => {
  it("that gets SIGTERM under load drains, and keeps all that it acknowledged", async () => {
    const server = await place.serve();
    await place.ok(["topic", "create", "load", "-p", "2", "--durability", "synced"]);
    const job = await attach(server.facts.group, { deliveryTimeoutMs: 1000 });
    const topic = await job.topic<{ n: number }>("load");
    const out = await topic.producer();
    const receipts: Receipt[] = [];
    let pushing = true;
    const push = (): void => {
      try {
        for (let count = 0; count < 100; count++) {
          receipts.push(out.push({ n: receipts.length }, new Uint8Array(receipts.length % 10 === 0 ? 50_000 : 10)));
        }
      } catch (error) {
        if (!isWeftError(error, "WEFT_BUSY")) throw error;
      }
      if (pushing) setTimeout(push, 1);
    };
    push();
    await until("acknowledged events", () => receipts.filter(({ completed }) => completed).length > 2000);
    const ended = await server.end("SIGTERM");
    expect(ended, ended.words).toMatchObject({ exitCode: 0, signal: null });
    pushing = false;
    const outcomes = await Promise.allSettled(receipts.map((receipt) => receipt.wait()));
    // What the drain refused, and what it no longer answered.
    await expect(job.close()).rejects.toThrow(/WEFT_(PARTITION_UNAVAILABLE|DELIVERY_TIMED_OUT)/);
    const acknowledged = new Map<string, number>();
    for (const [n, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") acknowledged.set(nameOf(outcome.value), n);
    }
    expect(acknowledged.size).toBeGreaterThan(2000);
    expect(acknowledged.size).toBeLessThan(receipts.length);

    await place.serve();
    const kept = new Map((await stored("load")).map((line) => [nameOf(line), line.metadata.n]));
    for (const [id, n] of acknowledged) expect(kept.get(id), id).toBe(n);
    expect(new Set(kept.values()).size).toBe(kept.size);
    expect(await place.ok(["log", "verify", "weft"])).not.toContain("DAMAGED");
  });

  it("whose drain waits for a client ends at once at the second SIGTERM", async () => {
    const server = await place.serve();
    await place.ok(["topic", "create", "load"]);
    const producer = place.startProgram(process.execPath, [
      `${program}/stopped-producer.js`,
      server.facts.group,
      "load",
    ]);
    await until("a client that stands still in the middle of a pull", () => {
      if (producer.ended) throw new Error(`the client ended: ${producer.words}`);
      return producer.output.includes("ready");
    });
    server.child.kill("SIGTERM");
    await until("the drain", () => server.words.includes("drains"));
    server.child.kill("SIGTERM"); // within a second: the same wish, as launchers may send it twice
    const first = Date.now();
    await until("a second", () => Date.now() - first > 1_100);
    expect(server.ended).toBe(false);
    expect(server.words).not.toContain("again");
    const ended = await server.end("SIGTERM");
    expect(ended, ended.words).toMatchObject({ exitCode: null, signal: "SIGTERM" });
    expect(ended.words).toContain("SIGTERM again: the process ends at once");
    await producer.end("SIGKILL");
    await place.serve();
    expect(await stored("load")).toMatchObject([{ offset: 0, metadata: { stored: true } }]);
  });
});

function nameOf({ partition, offset }: Pick<EventId, "partition" | "offset">): string {
  return `${partition}:${offset}`;
}
