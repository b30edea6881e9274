// Sets up, builds, and then becomes one of the compiled programs: what `npm run demo` and `npm run bench:*` do.
import { existsSync } from "node:fs";
import { execute } from "./command.mjs";
import { nativeBuildStep } from "./native-build.mjs";
import { npmPackagesStep } from "./npm-packages.mjs";
import { inRoot } from "./paths.mjs";
import { runSteps, runStepsOrExit } from "./steps.mjs";
import { systemPackagesStep } from "./system-packages.mjs";
import { programsBuildStep, typescriptBuildStep } from "./typescript-build.mjs";

/**
 * @param {string} program its source, as examples/demo/main.ts
 * @param {{ steps?: object[], afterwards?: (results: object[]) => void }} [optional] steps that may fail, before the
 *   program starts, and who wants to know how they went
 */
export async function buildAndRun(purpose, program, args, { steps = [], afterwards } = {}) {
  if (!existsSync(inRoot(program))) {
    console.error(`${program} is not part of this checkout; look with \`git status\` for what was removed`);
    process.exit(1);
  }
  await runStepsOrExit([
    systemPackagesStep(purpose),
    npmPackagesStep,
    nativeBuildStep(),
    typescriptBuildStep,
    programsBuildStep,
  ]);
  if (steps.length > 0) {
    const { results } = await runSteps(steps);
    afterwards?.(results);
  }
  const compiled = inRoot("build", "ts", program.replace(/\.ts$/, ".js"));
  // The whole suite takes most of an hour on a small machine.
  const { status, reason } = await execute(process.execPath, [compiled, ...args], { input: "inherit", timeoutS: 7200 });
  if (status !== 0) console.error(`${program}: ${reason}`);
  process.exit(status);
}
