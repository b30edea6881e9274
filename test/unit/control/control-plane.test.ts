// What a slot answers to requests, good and bad, and how much of it at a time.
import { describe, expect, test } from "vitest";
import { CONTROL_BYTES_MAX } from "../../../src/control/requests.js";
import { failureOf, TestJob, type TestSlot } from "./support.js";

async function oneSlot(): Promise<TestSlot> {
  const slot = new TestJob().addSlot();
  await slot.start();
  return slot;
}

describe("control requests", () => {
  test("what is not a request is refused with what is wrong", async () => {
    const slot = await oneSlot();
    for (const [request, words] of [
      ["", "not JSON"],
      ["{", "not JSON"],
      ["[]", "not a JSON object"],
      ["null", "not a JSON object"],
      ["{}", "'op'"],
      ['{"op":7}', "'op'"],
      ['{"op":"topic.crate"}', "did you mean 'topic.create'?"],
      ['{"op":"frobnicate"}', "frobnicate"],
      ['{"op":"ping","loud":true}', '"loud" is not known here'],
      ['{"op":"topic.describe"}', "required property 'name'"],
      ['{"op":"topic.describe","name":5}', "name: 5 is not a text"],
      ['{"op":"topic.list","limit":0}', "limit: 0 is below 1"],
      ['{"op":"partition.create","topic":{},"partitions":[0]}', "required property"],
      ['{"op":"partition.remove","name":"../x","uuid":"0","partitions":[0]}', "name"],
      ['{"op":"__proto__"}', "__proto__"],
    ] as const) {
      const { code, message } = await failureOf(() => slot.ask(request));
      expect(code, request).toBe("WEFT_INVALID_ARGUMENT");
      expect(message, request).toContain(words);
    }
    expect(await slot.ask({ op: "ping" })).toEqual({ slot: 0 });
  });

  test("status, list in pages, describe, and an unknown topic with its neighbours", async () => {
    const slot = await oneSlot();
    for (const name of ["delta", "alpha", "charlie", "bravo"]) await slot.ask({ op: "topic.create", name });
    expect(await slot.ask({ op: "status" })).toMatchObject({
      slot: 0,
      slots: 1,
      state: "running",
      topics: 4,
      partitions: 4,
      pid: process.pid,
    });
    const names: string[] = [];
    let after: unknown;
    do {
      const page = await slot.ask({ op: "topic.list", limit: 3, ...(after ? { after } : {}) });
      names.push(...(page["topics"] as { name: string }[]).map(({ name }) => name));
      after = page["next"];
    } while (after);
    expect(names).toEqual(["alpha", "bravo", "charlie", "delta"]);
    expect((await slot.ask({ op: "topic.describe", name: "bravo" }))["topic"]).toMatchObject({ name: "bravo" });
    const { code, message } = await failureOf(() => slot.ask({ op: "topic.describe", name: "brovo" }));
    expect(code).toBe("WEFT_TOPIC_UNKNOWN");
    expect(message).toContain("did you mean 'bravo'?");
  });

  test("a list of many long names stays within the limit of a reply, in pages", async () => {
    const slot = await oneSlot();
    for (let number = 0; number < 250; number++) {
      await slot.ask({
        op: "topic.create",
        name: `${"n".repeat(190)}${String(number).padStart(5, "0")}`,
        config: { storage: "memory" },
      });
    }
    let seen = 0;
    let after: unknown;
    do {
      const reply = await slot.control.answer(
        JSON.stringify({ op: "topic.list", limit: 200, ...(after ? { after } : {}) }),
      );
      if (!("json" in reply)) throw new Error(reply.text);
      expect(Buffer.byteLength(reply.json)).toBeLessThanOrEqual(CONTROL_BYTES_MAX);
      const page = JSON.parse(reply.json) as { topics: unknown[]; next?: string };
      seen += page.topics.length;
      after = page.next;
    } while (after);
    expect(seen).toBe(250);
  });

  test("partition.list gives everything on record, in pages", async () => {
    const slot = await oneSlot();
    await slot.ask({ op: "topic.create", name: "wide", config: { partitions: 300 } });
    const seen: number[] = [];
    let after: unknown;
    do {
      const page = await slot.ask({ op: "partition.list", ...(after ? { after } : {}) });
      seen.push(...(page["partitions"] as { partition: number }[]).map(({ partition }) => partition));
      after = page["next"];
    } while (after);
    expect(seen).toEqual(Array.from({ length: 300 }, (_, index) => index));
  });

  test("operations of slot 0 name it when they reach another slot", async () => {
    const job = new TestJob();
    job.addSlot();
    const one = job.addSlot();
    await one.start();
    const { code, message } = await failureOf(() => one.ask({ op: "topic.list" }));
    expect(code).toBe("WEFT_INVALID_ARGUMENT");
    expect(message).toContain("slot 0");
  });

  test("more than 64 at a time are WEFT_BUSY, and the others are answered", async () => {
    const slot = await oneSlot();
    const results = await Promise.allSettled(
      Array.from({ length: 80 }, (_, number) => slot.ask({ op: "topic.create", name: `t${number}` })),
    );
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(64);
    const refused = results.find(({ status }) => status === "rejected") as PromiseRejectedResult;
    expect(String(refused.reason)).toContain("WEFT_BUSY");
    expect((await slot.ask({ op: "topic.create", name: "later" }))["created"]).toBe(true);
  });

  test("requests about topics wait for the start, and a draining slot refuses them", async () => {
    const slot = await oneSlot();
    await slot.ask({ op: "topic.create", name: "quakes" });
    await slot.start({ reconcile: false });
    slot.control.state = "starting";
    let answered = false;
    const asked = slot.ask({ op: "topic.describe", name: "quakes" }).then(() => (answered = true));
    expect(await slot.ask({ op: "ping" })).toEqual({ slot: 0 });
    slot.control.state = "draining";
    const { code, message } = await failureOf(() => slot.ask({ op: "topic.list" }));
    expect(code).toBe("WEFT_CLOSED");
    expect(message).toContain("draining");
    slot.control.running();
    await asked;
    expect(answered).toBe(true);
  });

  test("clients.gone is answered, then told to whoever ends with the clients", async () => {
    const slot = await oneSlot();
    const told = new Promise<void>((resolve) => (slot.control.onClientsGone = resolve));
    expect(await slot.ask({ op: "clients.gone" })).toEqual({ slot: 0 });
    await told;
  });

  test("server.stop is answered, then asks for the end", async () => {
    const slot = await oneSlot();
    const stopped = new Promise<void>((resolve) => (slot.control.onStopRequest = resolve));
    expect(await slot.ask({ op: "server.stop" })).toEqual({ slot: 0 });
    await stopped;
  });
});
