// The small C programs of examples/c against a real server: what the producer pushes the consumer reads, with the right
// bytes, and a consumer with a name goes on where it was.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Workplace } from "./support/weftline.js";

const native = process.env["WEFTLINE_TEST_NATIVE"] ?? fileURLToPath(new URL("../../build/native", import.meta.url));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

function run(
  name: string,
  argv: readonly string[],
  group: string,
): { status: number | null; lines: string[]; words: string } {
  const { status, stdout, stderr } = spawnSync(join(native, "examples", "c", `example_${name}`), argv, {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, WEFTLINE_GROUP: group },
  });
  return { status, lines: stdout.split("\n").filter((line) => line !== ""), words: stderr };
}

test("events go from the C producer to the C consumer, whose name keeps its place", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const { group } = server.facts;
  await place.ok(["topic", "create", "heat", "--group", group]);
  const produced = run("producer", ["heat", "7"], group);
  expect(produced).toEqual({ status: 0, words: "", lines: ["7 events pushed; the last is offset 6 of partition 0"] });

  // Cell (28 + y, 28 + x) of step s holds 4096 s + 64 (28 + y) + 28 + x: the box's mean is 4096 s + 31.5 * 65.
  const line = (step: number): string =>
    `0:${step} {"step":${step},"cells":4096} mean ${(4096 * step + 31.5 * 65).toFixed(1)}`;
  const first = run("consumer", ["heat", "3", "reader"], group);
  expect(first).toEqual({ status: 0, words: "", lines: [0, 1, 2].map(line) });
  const second = run("consumer", ["heat", "4", "reader"], group);
  expect(second).toEqual({ status: 0, words: "", lines: [3, 4, 5, 6].map(line) });
});

test("an error says what, why and what to do, and ends with a status", async () => {
  const server = await place.serve(["--data", "./weft"]);
  const unknown = run("producer", ["nowhere", "1"], server.facts.group);
  expect(unknown.status).toBe(1);
  expect(unknown.words).toMatch(/^example_producer: WEFT_TOPIC_UNKNOWN: .*nowhere/);
  const missing = run("consumer", ["heat", "1"], place.path("absent"));
  expect(missing.status).toBe(1);
  expect(missing.words).toMatch(/WEFT_GROUP_MISSING/);
});
