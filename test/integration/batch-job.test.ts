// The ranks of the benchmarks inside a batch job: sbatch and srun of a Slurm with two nodes on this machine, roles by the
// numbers that the launcher gives (`--role auto`), under MPICH.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

import { scenario } from "../../bench/suite/scenario.js";
import { Workplace } from "./support/weftline.js";

const inRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const there = (program: string): boolean => spawnSync("which", [program]).status === 0;
const daemons = ["slurmctld", "slurmd", "munged", "sbatch", "srun"];
const possible =
  process.getuid?.() === 0 && daemons.every(there) && existsSync(inRoot("build/native/mpi/weftline_mpi_mpich.so"));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(async () => {
  if (possible) slurm("down"); // with what still runs there
  await place.close();
}, 60_000);

function slurm(...argv: string[]): string {
  const env = { ...process.env, LAB_DIR: place.directory };
  const script = inRoot("test/lab/slurm.sh");
  const { status, stdout, stderr } = spawnSync(script, argv, { env, encoding: "utf8", timeout: 60_000 });
  expect(status, `slurm.sh ${argv.join(" ")}: ${stderr}`).toBe(0);
  return stdout.trim();
}

test.skipIf(!possible)(
  "ranks of a batch job over two nodes take their roles and measure",
  async () => {
    slurm("up", "2");
    const factors = { producers: 2, partitions: 2, events: 2560, warmUpEvents: 512 };
    const topics = [
      { name: "t0", scenario: scenario("apart", "ranks", factors) },
      { name: "t1", scenario: scenario("together", "mode", { ...factors, mode: "both" }) },
    ];
    const plan = { system: { name: "weftline" }, directory: place.path("node-local"), topics };
    writeFileSync(place.path("plan.json"), JSON.stringify(plan));
    const rank = [process.execPath, inRoot("build/ts/bench/driver/rank.js")];
    const files = ["--plan", place.path("plan.json"), "--result", place.path("result.json")];
    writeFileSync(
      place.path("job.sh"),
      [
        "#!/bin/bash",
        "#SBATCH --nodes=2 --ntasks=4 --ntasks-per-node=2 --time=2",
        `srun --label bash -c 'echo "$SLURM_NODEID"'`,
        `exec srun --mpi=pmi2 ${[...rank, ...files].join(" ")}`,
        "",
      ].join("\n"),
    );
    const words = place.path("words.txt");
    const job = place.startProgram(
      inRoot("test/lab/slurm.sh"),
      ["run", "sbatch", "--wait", "--output", words, place.path("job.sh")],
      { env: { LAB_DIR: place.directory } },
    );
    const { exitCode, words: ofSbatch } = await job.finished;
    const said = existsSync(words) ? readFileSync(words, "utf8") : "";
    expect(exitCode, `${ofSbatch}\n${said}`).toBe(0);
    expect(said.split("\n").filter(Boolean).sort()).toEqual(["0: 0", "1: 0", "2: 1", "3: 1"]);
    const result = JSON.parse(readFileSync(place.path("result.json"), "utf8")) as {
      ranks: number;
      phases: { topic: string; phase: string; events: number; seconds: number }[];
    };
    expect(result.ranks).toBe(4);
    expect(result.phases.map(({ topic, phase, events }) => [topic, phase, events])).toEqual([
      ["t0", "produce", 2560],
      ["t0", "consume", 2560],
      ["t1", "both", 2560],
    ]);
    for (const { seconds } of result.phases) expect(seconds).toBeGreaterThan(0);
  },
  150_000,
);
