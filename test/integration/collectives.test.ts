// The collectives of a launch, over real ranks under each MPI: one that hosts the server and two clients. What each rank
// must see is in test/programs/collectives.ts.
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { launchers } from "./support/launchers.js";
import { parseLines, Workplace } from "./support/weftline.js";

const program =
  process.env["WEFTLINE_TEST_PROGRAMS"] ?? fileURLToPath(new URL("../../build/ts/test/programs/", import.meta.url));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

describe.each(launchers)("under $mpi", ({ program: mpiexec, argv, env, there }) => {
  it.skipIf(!there)("three ranks broadcast, gather and split, and JavaScript goes on meanwhile", async () => {
    const node = [process.execPath, `${program}/collectives.js`];
    const launch = place.startProgram(
      mpiexec,
      [...argv, "-n", "1", ...node, "serve", place.path("weft"), ":", "-n", "2", ...node],
      { env },
    );
    // A collective that does not end is a failure here, not of the whole run.
    const deadline = setTimeout(() => launch.child.kill("SIGTERM"), 60_000);
    const { exitCode, output, words } = await launch.finished;
    clearTimeout(deadline);
    expect(exitCode, words + output.toString()).toBe(0);
    const seen = parseLines<{ rank: number }>(output).sort((left, right) => left.rank - right.rank);
    const alike = {
      size: 3,
      broadcast: true,
      lengths: [0, 1000, 2000],
      bytes: [0, 1, 2].map((rank) => [rank, rank + 100]),
      turned: [2, 1, 0],
      later: [0, 1, 2],
      root: "WEFT_INVALID_ARGUMENT",
    };
    const clients = { nodeSize: 3, groupSize: 2, cancelled: true };
    expect(seen).toEqual([
      { ...alike, role: "serve", rank: 0, even: [2, 0], cancelled: false },
      { ...alike, ...clients, rank: 1, nodeRank: 1, groupRank: 0 },
      { ...alike, ...clients, rank: 2, nodeRank: 2, groupRank: 1, even: [2, 0] },
    ]);
  });
});
