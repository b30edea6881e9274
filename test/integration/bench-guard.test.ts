// `npm run bench:guard`: the cost of an event in the native library, in instructions, has not grown.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

import { Workplace } from "./support/weftline.js";

const program = fileURLToPath(new URL("../../build/ts/bench/guard.js", import.meta.url));

test("an event costs no more instructions than are stored", async () => {
  const place = new Workplace();
  const { exitCode, words, output: table } = await place.startProgram(process.execPath, [program]).finished;
  await place.close();
  const output = table.toString();
  expect(exitCode, `${output}\n${words}`).toBe(0);
  expect(output).toMatch(/produce .*(ok|less|not comparable)/);
}, 300_000);
