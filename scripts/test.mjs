// `npm test` and its parts: sets up, builds, runs every check and test, and adds them up. The last line is
// "N passed, N failed" (", N skipped" follows where there are any); the status is 0 only if none failed.
//   node scripts/test.mjs [all | lint | native | unit | integration | model | launch | package | long]
import { readFileSync } from "node:fs";
import { lintSteps } from "./lib/checks.mjs";
import { nativeBuildStep } from "./lib/native-build.mjs";
import { nativeTestStep } from "./lib/native-tests.mjs";
import { npmPackagesStep } from "./lib/npm-packages.mjs";
import { inRoot } from "./lib/paths.mjs";
import { runSteps } from "./lib/steps.mjs";
import { systemPackagesStep } from "./lib/system-packages.mjs";
import { addTally, emptyTally, judgeSkipped, totalsLine } from "./lib/tally.mjs";
import { programsBuildStep, typescriptBuildStep } from "./lib/typescript-build.mjs";
import { vitestStep } from "./lib/vitest.mjs";

const build = [nativeBuildStep({ tests: true }), typescriptBuildStep, programsBuildStep];
const built = ["native build", "TypeScript build", "programs build"];
const nativeTests = nativeTestStep({ name: "native tests", variant: "normal", needs: ["native build"] });
const sanitized = [
  nativeBuildStep({ name: "native build, address sanitizer", variant: "address", tests: true }),
  nativeTestStep({
    name: "native tests, address sanitizer",
    variant: "address",
    needs: ["native build, address sanitizer"],
  }),
  nativeBuildStep({ name: "native build, thread sanitizer", variant: "thread", tests: true }),
  nativeTestStep({
    name: "native tests, thread sanitizer",
    variant: "thread",
    needs: ["native build, thread sanitizer"],
  }),
];
const unit = vitestStep({ name: "unit tests", project: "unit", needs: ["npm packages"] });
const integration = vitestStep({ name: "integration tests", project: "integration", needs: built });
const launch = vitestStep({ name: "launch tests", project: "launch", needs: built });
const model = vitestStep({ name: "model tests", project: "model", needs: built });
// What the machine does beside it changes little in a count; times and ratios have no place here.
const instructions = {
  name: "instructions an event",
  needs: built,
  counts: 1,
  run: (step) => step.run(process.execPath, [inRoot("build", "ts", "bench", "guard.js"), "--only", "counts"]),
};
const packageTest = vitestStep({ name: "package test", project: "package", needs: built });

const plans = {
  all: {
    purpose: "test",
    steps: [
      ...lintSteps,
      ...build,
      nativeTests,
      unit,
      integration,
      model,
      launch,
      packageTest,
      instructions,
      ...sanitized,
    ],
  },
  lint: { purpose: "lint", steps: lintSteps },
  native: { purpose: "native", steps: [build[0], nativeTests, ...sanitized] },
  unit: { purpose: "native", steps: [...build, unit] },
  integration: { purpose: "native", steps: [...build, integration] },
  model: { purpose: "native", steps: [...build, model] },
  launch: { purpose: "native", steps: [...build, launch] },
  package: { purpose: "native", steps: [...build, packageTest] },
  long: {
    purpose: "native",
    steps: [
      ...build,
      nativeTestStep({
        name: "native tests, long",
        variant: "normal",
        needs: ["native build"],
        onlyLabel: "long",
      }),
      vitestStep({ name: "long tests", project: "long", needs: built, timeoutS: 4 * 3600 }),
    ],
  },
};

const what = process.argv[2] ?? "all";
const plan = plans[what];
if (plan === undefined) {
  console.error(`unknown part '${what}'; use one of ${Object.keys(plans).join(", ")}`);
  process.exit(2);
}

const began = Date.now();
const steps = [systemPackagesStep(plan.purpose), npmPackagesStep, ...plan.steps];
const { results } = await runSteps(steps);

let total = emptyTally();
for (const [index, result] of results.entries()) {
  if (result.value?.tally) addTally(total, result.value.tally);
  else if (!result.ok)
    addTally(total, {
      ...emptyTally(),
      failed: 1,
      failures: [`${result.name}: ${result.reason.split("\n")[0]}`],
    });
  else total.passed += steps[index].counts ?? 0;
}
total = judgeSkipped(total, JSON.parse(readFileSync(inRoot("test", "skipped.json"), "utf8")), {
  ci: process.env.CI === "true",
});

console.log(`\nSummary of ${what} (${((Date.now() - began) / 1000).toFixed(0)} s)`);
for (const { name, ok, ms, value } of results) {
  const counts = value?.tally ? `  ${totalsLine(value.tally)}` : "";
  console.log(`  ${ok ? "ok    " : "FAILED"} ${name.padEnd(34)} ${(ms / 1000).toFixed(1).padStart(7)} s${counts}`);
}
if (total.skipped.length > 0) console.log(`Skipped:\n  ${total.skipped.join("\n  ")}`);
if (total.unused.length > 0)
  console.log(`In test/skipped.json, and no test is called so:\n  ${total.unused.join("\n  ")}`);
if (total.failures.length > 0) console.log(`Failed:\n  ${total.failures.join("\n  ")}`);
console.log(`\n${totalsLine(total)}`);
process.exitCode = total.failed > 0 ? 1 : 0;
