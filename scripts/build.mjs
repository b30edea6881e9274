// Builds all that a user needs: `node scripts/build.mjs` (native and TypeScript) or `… typescript` (dist/ only).
import { nativeBuildStep } from "./lib/native-build.mjs";
import { npmPackagesStep } from "./lib/npm-packages.mjs";
import { runStepsOrExit } from "./lib/steps.mjs";
import { systemPackagesStep } from "./lib/system-packages.mjs";
import { typescriptBuildStep } from "./lib/typescript-build.mjs";

const what = process.argv[2] ?? "all";
if (what !== "all" && what !== "typescript") {
  console.error(`cannot build '${what}'; use all or typescript`);
  process.exit(2);
}
const native = what === "all";
await runStepsOrExit([
  ...(native ? [systemPackagesStep("build")] : []),
  npmPackagesStep,
  ...(native ? [nativeBuildStep()] : []),
  typescriptBuildStep,
]);
