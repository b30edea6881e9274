// Plans and places for tests that start nothing: sites with recorded environments of their schedulers.
import type { PlanConfig } from "../../../src/config/plan-config.js";
import { parseConfig } from "../../../src/config/file.js";
import { type LaunchInput, prepareLaunch, type PreparedLaunch } from "../../../src/launch/prepare.js";
import { WeftError } from "../../../src/errors.js";

/** As it was in a batch script on two nodes with 8 processors each. */
export const slurmEnvironment = {
  PATH: "/usr/bin",
  SLURM_JOB_ID: "17",
  SLURM_JOB_NODELIST: "n[1-2]",
  SLURM_JOB_CPUS_PER_NODE: "8(x2)",
  SLURM_SUBMIT_DIR: "/work",
  SLURM_NTASKS: "4",
};

export function planOf(text: string): PlanConfig {
  return parseConfig("plan.yaml", text).values;
}

export function prepared(plan: string, given: Partial<LaunchInput> = {}): PreparedLaunch {
  return prepareLaunch({
    config: planOf(plan),
    topics: {},
    file: "/work/plan.yaml",
    site: undefined,
    environment: { PATH: "/usr/bin" },
    directory: "/work",
    weftline: ["weftline"],
    label: false,
    assumedNodes: undefined,
    firstNodes: undefined,
    ...given,
  });
}

/** The message of the WeftError that is thrown. */
export function problemOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof WeftError) return `${error.message} | ${error.next}`;
    throw error;
  }
  throw new Error("it was accepted");
}
