// The parts that scripts/test.mjs runs by name, a vitest project or a ctest label: one that holds nothing fails whenever it
// is run, as `npm run test:long` did.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

import config from "../../vitest.config.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const projects = (config.test?.projects ?? []) as { test: { name: string; include: string[] } }[];

describe("every vitest project has tests", () => {
  it.each(projects.flatMap(({ test }) => test.include.map((pattern) => ({ name: test.name, pattern }))))(
    "$name: $pattern",
    ({ pattern }) => {
      const folder = pattern.replace("/**/*.test.ts", "");
      const files = readdirSync(`${root}${folder}`, { recursive: true }).map(String);
      expect(files.filter((file) => file.endsWith(".test.ts"))).not.toEqual([]);
    },
  );
});

it("the longer native loops are longer than those of every day", () => {
  const args = ["--test-dir", `${root}build/native`, "--show-only=json-v1", "-L", "^long$"];
  const { stdout, stderr } = spawnSync("ctest", args, { encoding: "utf8" });
  expect(stderr).toBe("");
  const { tests } = JSON.parse(stdout) as {
    tests: { name: string; properties: { name: string; value: unknown }[] }[];
  };
  const surroundings = tests.flatMap(({ properties }) =>
    properties.filter(({ name }) => name === "ENVIRONMENT").flatMap(({ value }) => value as string[]),
  );
  expect(tests.map(({ name }) => name).sort()).toEqual(["library_kill_long", "library_large_event", "log_model_long"]);
  const numberOf = (variable: string): number =>
    Number(surroundings.find((line) => line.startsWith(`${variable}=`))?.slice(variable.length + 1));
  expect(numberOf("WEFT_SEEDS")).toBeGreaterThanOrEqual(200_000); // 10,000 in `npm test`
  expect(numberOf("WEFT_KILLS")).toBeGreaterThanOrEqual(500); // 50 there
});
