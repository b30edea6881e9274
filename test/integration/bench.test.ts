// `npm run bench:smoke` as a process: what its judge says is its exit status.
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

import { Workplace } from "./support/weftline.js";

const program = fileURLToPath(new URL("../../build/ts/bench/smoke.js", import.meta.url));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(() => place.close());

test("a part that there is not is refused", async () => {
  const argv = [program, "--directory", place.directory, "--only", "nothing"];
  const { exitCode, words } = await place.startProgram(process.execPath, argv).finished;
  expect(words).toContain("There is no 'nothing', only metadata, data, disk, event");
  expect(exitCode).toBe(2);
});
