// Several server slots: in one MPI launch under both MPIs, killed, and started again outside MPI, one after the other.
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { launchers } from "./support/launchers.js";
import { cliPath, parseLines, type Running, type ServerFacts, until, Workplace } from "./support/weftline.js";

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

function numbered(count: number, from = 0): string {
  return Array.from({ length: count }, (_, index) => `{"n":${index + from}}\n`).join("");
}

function numbersOf(output: string): number[] {
  return parseLines<{ metadata: { n: number } }>(output)
    .map(({ metadata }) => metadata.n)
    .sort((left, right) => left - right);
}

async function facts(running: Running, servers: number): Promise<ServerFacts[]> {
  return await until("the start of all servers", () => {
    if (running.ended) throw new Error(`the launch ended:\n${running.words}\n${running.output.toString()}`);
    const lines = running.output.toString().split("\n").slice(0, -1);
    const found = lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as ServerFacts);
    return found.length >= servers && found.sort((left, right) => left.slot - right.slot);
  });
}

/** The launcher may have ended it already, when it saw the first one die. */
function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ESRCH");
  }
}

describe.each(launchers)("under $mpi", ({ program, argv, env, there }) => {
  test.skipIf(!there)(
    "two servers share a topic; killed, each slot comes back by itself and brings its partitions",
    async () => {
      writeFileSync(
        place.path("weftline.yaml"),
        "topics:\n  field: { partitions: 4 }\n  local: { slots: [0] }\n  both: { partitions: 2, slots: [0, 1] }\n",
      );
      const serve = [process.execPath, cliPath, "serve", "--json", "--data", place.path("weft-{rank}")];
      const launch = place.startProgram(program, [...argv, "-n", "2", ...serve], { env });
      const servers = await facts(launch, 2);
      const group = ["--group", place.path("weft-0", "group")];
      expect(servers.map(({ slot, group: found }) => ({ slot, found }))).toEqual(
        [0, 1].map((slot) => ({ slot, found: place.path("weft-0", "group") })),
      );
      // Slot 0 creates the topics of the file once all slots are there; a client that is early waits for that.
      const described = JSON.parse(await place.ok(["topic", "describe", "field", "--json", ...group])) as object;
      expect(described).toMatchObject({ slots: [0, 1, 0, 1] });
      await place.ok(["produce", "field", ...group], { input: numbered(4000) });
      expect(numbersOf(await place.ok(["consume", "field", "--until", "end", ...group]))).toHaveLength(4000);
      for (const { pid } of servers) killIfThere(pid);
      await launch.finished;

      // Slot 0 alone: its partitions are there, the others are unavailable, and nothing else is the matter.
      await place.serve(["--data", place.path("weft-0")]);
      const alone = JSON.parse(
        await place.ok(["topic", "describe", "field", "--json", "--timeout", "3s", ...group]),
      ) as {
        partitionStates: { state: string; slot: number; nextOffset?: number }[];
      };
      expect(alone.partitionStates.map(({ state }) => state)).toEqual(["open", "unavailable", "open", "unavailable"]);
      const mine = numbersOf(await place.ok(["consume", "field", "-p", "0,2", "--until", "end", ...group]));
      // About a half: a producer whose batches are all under way goes on with the next partition.
      expect(mine).toHaveLength(alone.partitionStates.reduce((sum, { nextOffset }) => sum + (nextOffset ?? 0), 0));
      expect(mine.length).toBeGreaterThan(1500);
      await place.ok(["produce", "local", ...group], { input: numbered(100) });
      await place.ok(["produce", "both", "-p", "0", ...group], { input: numbered(100) });
      const refused = await place.weftline(["topic", "create", "other", "-p", "2", ...group]);
      expect(refused.words).toContain("WEFT_PARTITION_UNAVAILABLE");
      expect(refused.words).toContain("slot 1");
      expect(refused.exitCode).toBe(1);

      // Slot 1 comes back, outside MPI: everything is there again.
      const second = await place.serve(["--data", place.path("weft-1"), "--slot", "1", ...group]);
      expect(second.facts).toMatchObject({ slot: 1, slotEpoch: 2 });
      expect(numbersOf(await place.ok(["consume", "field", "--until", "end", ...group]))).toEqual(
        Array.from({ length: 4000 }, (_, index) => index),
      );
      await place.ok(["topic", "create", "other", "-p", "2", ...group]);
      expect(await place.ok(["status", ...group])).toMatch(/slot 0 +running[^]*slot 1 +running/);
    },
  );

  test.skipIf(!there)("produce as a rank of the launch; the server ends with its clients", async () => {
    writeFileSync(place.path("weftline.yaml"), "topics:\n  nums: { partitions: 2, durability: synced }\n");
    writeFileSync(place.path("in.ndjson"), numbered(3000));
    const node = [process.execPath, cliPath];
    const launch = place.startProgram(
      program,
      [
        ...[...argv, "-n", "1", ...node, "serve", "--until", "clients-gone", ":"],
        ...["-n", "1", ...node, "produce", "nums", "--file", "in.ndjson"],
      ],
      { env },
    );
    const ended = await launch.finished;
    expect(ended.words + ended.output.toString()).toContain("3,000 events");
    expect(ended.exitCode).toBe(0);
    await place.serve();
    expect(numbersOf(await place.ok(["consume", "nums", "--until", "end"]))).toHaveLength(3000);
  });
});
