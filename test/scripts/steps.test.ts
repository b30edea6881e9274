// What a reader sees of the steps, and that a failed one is never taken for a good one.
import { describe, expect, it } from "vitest";
import { StepFailure, runSteps } from "../../scripts/lib/steps.mjs";

async function shown(steps: Parameters<typeof runSteps>[0]) {
  const lines: string[] = [];
  const outcome = await runSteps(steps, { say: (text: string) => lines.push(text) });
  return { ...outcome, text: lines.join("\n") };
}

describe("runSteps", () => {
  it("shows the end of a failed step's log, why it failed and what to do; what needs it is not run", async () => {
    let ran = false;
    const { ok, results, text } = await shown([
      {
        name: "test of steps",
        run: async (step) => {
          await step.run(process.execPath, ["-e", "console.error('the disk is full'); process.exit(3)"], {
            next: "make room",
          });
        },
      },
      {
        name: "test of steps, after",
        needs: ["test of steps"],
        run: () => {
          ran = true;
          return Promise.resolve();
        },
      },
      { name: "test of steps, beside", run: () => Promise.resolve() },
    ]);
    expect(ok).toBe(false);
    expect(ran).toBe(false);
    expect(results.map((result) => result.ok)).toEqual([false, false, true]);
    expect(text).toContain("[1/3] test of steps: FAILED");
    expect(text).toContain("the disk is full");
    expect(text).toMatch(/why: .*status 3/);
    expect(text).toContain("next: make room");
    expect(text).toContain('[2/3] test of steps, after: not run, because "test of steps" failed');
  });

  it("goes no further after a step that stops, and says so", async () => {
    let ran = false;
    const { ok, results, text } = await shown([
      {
        name: "test of steps, set-up",
        stops: true,
        run: () => Promise.reject(new StepFailure("no packages", "run this")),
      },
      {
        name: "test of steps, never",
        run: () => {
          ran = true;
          return Promise.resolve();
        },
      },
    ]);
    expect(ok).toBe(false);
    expect(ran).toBe(false);
    expect(results).toHaveLength(1);
    expect(text).toContain("Stopped: 1 more step(s)");
  });

  it("ends a program at its time limit, with what it started", async () => {
    const { results } = await shown([
      {
        name: "test of steps, time limit",
        run: async (step) => {
          await step.run("bash", ["-c", "sleep 300 & wait"], { timeoutS: 0.2 });
        },
      },
    ]);
    expect(results[0]?.ok).toBe(false);
    expect(results[0]?.reason).toContain("its time limit");
  });

  it("names a program that is not there", async () => {
    const { results } = await shown([
      { name: "test of steps, absent", run: async (step) => void (await step.run("weftline-no-such-program", [])) },
    ]);
    expect(results[0]?.reason).toContain("weftline-no-such-program could not be started");
  });

  it("keeps the reason of a StepFailure", async () => {
    const { text } = await shown([
      { name: "test of steps, reason", run: () => Promise.reject(new StepFailure("no MPI", "install one")) },
    ]);
    expect(text).toContain("no MPI");
    expect(text).toContain("install one");
  });
});
