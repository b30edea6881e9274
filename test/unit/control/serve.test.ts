// serve(): the order of its start, what a failed step leaves, control requests, signals, the end.
import { describe, expect, test } from "vitest";
import { startServer } from "../../../src/control/serve.js";
import { WeftError } from "../../../src/errors.js";
import { errorTable } from "../../../src/native/error-codes.js";
import { FakeCore } from "./fake-binding.js";
import { failureOf, MemoryFiles } from "./support.js";

async function waitFor(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error("it did not happen within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("serve", () => {
  test("opens everything before anybody is let in, and ends in the reverse order", async () => {
    const core = new FakeCore();
    const files = new MemoryFiles();
    const first = await startServer({ data: "/data", topics: { field: { partitions: 2 } } }, core.binding, files);
    expect(core.calls).toEqual([
      "joinBegin",
      "serverStart /data",
      "partitionOpen field/0",
      "partitionOpen field/1",
      "topicPut field",
      "joinFinish",
    ]);
    await first.close({ timeoutMs: 7 });
    await first.closed;
    expect(core.calls.slice(6)).toEqual(["serverStop 7", "jobClose"]);
    // The second start opens what is on record, and finds the topic of the options there.
    core.calls.length = 0;
    const second = await startServer({ data: "/data", topics: { field: { partitions: 2 } } }, core.binding, files);
    expect(core.calls).toEqual([
      "joinBegin",
      "serverStart /data",
      "partitionOpen field/0",
      "partitionOpen field/1",
      "topicPut field",
      "joinFinish",
    ]);
    await second[Symbol.asyncDispose]();
  });

  test("a step that fails is told to the other ranks, and everything is closed", async () => {
    const locked = new FakeCore();
    locked.failures.set("serverStart", new WeftError("WEFT_DATA_DIRECTORY_LOCKED", "pid 7 uses /data"));
    const error = await failureOf(() => startServer({ data: "/data" }, locked.binding, new MemoryFiles()));
    expect(error.code).toBe("WEFT_DATA_DIRECTORY_LOCKED");
    expect(locked.calls).toEqual([
      "joinBegin",
      "serverStart /data",
      "joinFinish failure: WEFT_DATA_DIRECTORY_LOCKED: pid 7 uses /data",
      "jobClose",
    ]);
    const corrupt = new FakeCore();
    const files = new MemoryFiles();
    files.files.set("/data/catalogue", { bytes: Buffer.from("0000"), synced: Buffer.alloc(0) });
    await startServer({ data: "/data" }, corrupt.binding, files).then((server) => server.close());
    const differing = new FakeCore();
    const before = await startServer({ data: "/data", topics: { a: {} } }, differing.binding, files);
    await before.close();
    differing.calls.length = 0;
    const other = await failureOf(() =>
      startServer({ data: "/data", topics: { a: { partitions: 3 } } }, differing.binding, files),
    );
    expect(other.message).toContain("topic 'a' exists with partitions 1, not 3");
    expect(differing.calls.filter((call) => call.startsWith("joinFinish"))[0]).toContain("failure: WEFT_TOPIC_EXISTS");
    expect(differing.calls.slice(-2)).toEqual(["serverStop 0", "jobClose"]);
  });

  test("bad options are refused before anything is touched", async () => {
    const core = new FakeCore();
    for (const [options, words] of [
      [{ topics: { "a/b": {} } }, "topics.a/b"],
      [{ topics: { field: { partitions: -1 } } }, "topics.field.partitions: -1 is below 1"],
    ] as const) {
      const { code, message } = await failureOf(() => startServer(options, core.binding, new MemoryFiles()));
      expect(code).toBe("WEFT_CONFIG_INVALID");
      expect(message).toContain(words);
    }
    expect(core.calls).toEqual([]);
  });

  test("control requests are answered with JSON or a coded error; log lines reach the log", async () => {
    const core = new FakeCore();
    const lines: string[] = [];
    const options = { data: "/data", log: (level: string, text: string) => void lines.push(`${level} ${text}`) };
    await using server = await startServer(options, core.binding, new MemoryFiles());
    core.request(18_446_744_073_709_551_615n, { op: "ping" });
    core.request(2n, { op: "nonsense" });
    core.log(2, "a client went away");
    await waitFor(() => core.replies.length === 2);
    expect(core.replies).toContainEqual({ request: 18_446_744_073_709_551_615n, code: 0, text: '{"slot":0}' });
    expect(core.replies.find(({ request }) => request === 2n)).toMatchObject({
      code: errorTable.WEFT_INVALID_ARGUMENT.number,
      text: expect.stringContaining("'nonsense'") as string,
    });
    expect(lines).toContain("warning a client went away");
    core.request(3n, { op: "server.stop" });
    await server.closed;
    expect(core.calls.slice(-2)).toEqual(["serverStop 30000", "jobClose"]);
  });

  test("SIGTERM drains, SIGUSR1 does not, and the listeners are gone afterwards", async () => {
    const listeners = (): number[] => ["SIGTERM", "SIGINT", "SIGUSR1"].map((name) => process.listenerCount(name));
    const before = listeners();
    const core = new FakeCore();
    const server = await startServer({ data: "/data", drainMs: 1234 }, core.binding, new MemoryFiles());
    expect(listeners()).toEqual(before.map((count) => count + 1));
    process.emit("SIGUSR1");
    expect(server.state).toBe("running");
    process.emit("SIGTERM", "SIGTERM");
    await server.closed;
    expect(core.calls.slice(-2)).toEqual(["serverStop 1234", "jobClose"]);
    expect(listeners()).toEqual(before);
  });

  test("a signal before the server runs drains it as soon as it does", async () => {
    const core = new FakeCore();
    const starting = startServer({ data: "/data" }, core.binding, new MemoryFiles());
    process.emit("SIGINT", "SIGINT");
    const server = await starting;
    await server.closed;
    expect(core.calls.at(-1)).toBe("jobClose");
  });

  test("an aborted signal gives up before, and drains after", async () => {
    const core = new FakeCore();
    const gone = AbortSignal.abort();
    expect((await failureOf(() => startServer({ signal: gone }, core.binding, new MemoryFiles()))).code).toBe(
      "WEFT_CANCELLED",
    );
    expect(core.calls).toEqual([]);
    const controller = new AbortController();
    const server = await startServer({ data: "/data", signal: controller.signal }, core.binding, new MemoryFiles());
    controller.abort();
    await server.closed;
  });

  test("a signal ends the waiting for a close, not the drain", async () => {
    const core = new FakeCore();
    const server = await startServer({ data: "/data" }, core.binding, new MemoryFiles());
    expect((await failureOf(() => server.close({ signal: AbortSignal.abort() }))).code).toBe("WEFT_CANCELLED");
    await server.closed;
    expect(core.calls.at(-1)).toBe("jobClose");
  });

  test("until clients-gone: not before there were clients, then when the last has left", async () => {
    const core = new FakeCore();
    const server = await startServer({ data: "/data", until: "clients-gone" }, core.binding, new MemoryFiles());
    const looks = async (count: number): Promise<void> => {
      const before = core.countersAsked;
      await waitFor(() => core.countersAsked >= before + count);
    };
    await looks(8); // longer than it waits for the last client
    expect(server.state).toBe("running");
    // One that came and went between two looks counts.
    core.clientsOpened = 1;
    core.clientCount = 1;
    await looks(8);
    expect(server.state).toBe("running");
    core.clientCount = 0;
    await server.closed;
    expect(core.calls.at(-1)).toBe("jobClose");
  });

  test("until clients-gone: of many slots the first tells the others, which wait for that", async () => {
    const options = { data: "/data", until: "clients-gone" } as const;
    const first = new FakeCore();
    first.slotCount = 20;
    const server = await startServer(options, first.binding, new MemoryFiles());
    const other = new FakeCore();
    other.slot = 5;
    other.slotCount = 20;
    const waiting = await startServer(options, other.binding, new MemoryFiles());
    // Clients come to it and go as they use it.
    other.clientsOpened = 1;
    first.clientsOpened = 1;
    await server.closed;
    const told = first.calls.filter((call) => call.startsWith("control "));
    expect(told).toHaveLength(19);
    expect(told).toContain('control 5 {"op":"clients.gone"}');
    expect(waiting.state).toBe("running");
    other.request(9n, { op: "clients.gone" });
    await waiting.closed;
  });

  test("a drain that fails is told to whoever waits", async () => {
    const core = new FakeCore();
    const server = await startServer({ data: "/data", signals: false }, core.binding, new MemoryFiles());
    core.failures.set("serverStop", new WeftError("WEFT_TIMED_OUT", "2 batches are not synced"));
    expect((await failureOf(() => server.close())).code).toBe("WEFT_TIMED_OUT");
    expect((await failureOf(() => server.closed)).code).toBe("WEFT_TIMED_OUT");
    expect(core.calls.at(-1)).toBe("jobClose");
  });
});
