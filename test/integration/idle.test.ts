// A job in which nothing happens costs next to nothing: a server of the command and two attached clients, each with a
// producer and a waiting consumer, use less than 1 % of a core each, by the CPU time that the kernel charges them.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";

import { type Running, until, Workplace } from "./support/weftline.js";

const program =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));
const windowMs = 10_000;
const shareMax = 0.01;

let place: Workplace;
beforeAll(() => {
  place = new Workplace();
});
afterAll(() => place.close());

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** CPU time of all threads of a process so far, in the kernel and out of it. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" "); // the name before it may hold blanks
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

it("an idle server and two idle clients use less than 1 % of a core each, over 10 s", async () => {
  const server = await place.serve();
  await place.ok(["topic", "create", "quiet"]);
  const clients = await Promise.all(
    [1, 2].map(async () => {
      const client: Running = place.startProgram(process.execPath, [
        `${program}/idle-client.js`,
        server.facts.group,
        "quiet",
      ]);
      await until("a client's start", () => {
        if (client.ended) throw new Error(`the client ended: ${client.words}`);
        return client.output.includes("ready");
      });
      return client;
    }),
  );
  const pids = [server, ...clients].map(({ child }) => child.pid ?? 0);
  // A start is over when a whole second passes in which nobody does much: compilation, collection of garbage.
  let second = { beganMs: performance.now(), cpu: pids.map(cpuMs) };
  await until("a quiet second", () => {
    if (performance.now() - second.beganMs < 1000) return false;
    const quiet = pids.every((pid, index) => cpuMs(pid) - (second.cpu[index] ?? 0) <= 20);
    second = { beganMs: performance.now(), cpu: pids.map(cpuMs) };
    return quiet;
  });
  const before = pids.map(cpuMs);
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, windowMs)); // the window is what is measured
  const tookMs = performance.now() - startedMs;
  const shares = pids.map((pid, index) => (cpuMs(pid) - (before[index] ?? 0)) / tookMs);
  expect(
    shares.filter((share) => share >= shareMax),
    `shares of the server and the clients: ${shares.join(", ")}`,
  ).toEqual([]);
  for (const running of [server, ...clients]) expect(running.ended).toBe(false);
});
