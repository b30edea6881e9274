// A launch in which nobody serves: every rank is told at once, by every face of the library, and none waits for the other.
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launchers } from "./support/launchers.js";
import { cliPath, type Finished, Workplace } from "./support/weftline.js";

const built = fileURLToPath(new URL("../../build/", import.meta.url));

let place: Workplace;
beforeAll(() => {
  place = new Workplace();
});
afterAll(() => place.close());

describe.each(launchers)("under $mpi", ({ mpi, program, argv, env, there }) => {
  async function launch(...command: string[]): Promise<Finished> {
    const running = place.startProgram(program, [...argv, "-n", "2", ...command], { env });
    const deadline = setTimeout(() => running.child.kill("SIGTERM"), 60_000);
    const ended = await running.finished;
    clearTimeout(deadline);
    return ended;
  }

  it.skipIf(!there).each([
    ["weft_join", [`${built}native/examples/gray_scott_${mpi}`, "--output", "weftline"]],
    ["join", [process.execPath, `${built}ts/examples/typescript/collectives.js`]],
    ["weftline produce", [process.execPath, cliPath, "produce", "quakes"]],
  ])("%s says WEFT_NO_SERVER, and what to do", async (_what, command) => {
    const ended = await launch(...command);
    expect(ended.words + ended.output.toString()).toMatch(/WEFT_NO_SERVER: none of the 2 ranks .*start .*server/);
    // Which status depends on whom the launcher ended before it was done.
    expect(ended.exitCode, ended.words).not.toBe(0);
    expect(ended.signal).toBeNull();
  });
});
