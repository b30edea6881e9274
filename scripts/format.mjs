// `npm run format`: writes every file in the house format.
import { nativeFiles, shellScripts } from "./lib/checks.mjs";
import { npmPackagesStep } from "./lib/npm-packages.mjs";
import { tool } from "./lib/paths.mjs";
import { runStepsOrExit } from "./lib/steps.mjs";
import { systemPackagesStep } from "./lib/system-packages.mjs";

await runStepsOrExit([
  systemPackagesStep("lint"),
  npmPackagesStep,
  { name: "prettier", run: (step) => step.run(tool("prettier"), ["--write", "--log-level", "warn", "."]) },
  {
    name: "eslint",
    run: (step) => step.run(tool("eslint"), [".", "--fix"]),
  },
  { name: "clang-format", run: (step) => step.run("clang-format", ["-i", ...nativeFiles()]) },
  {
    name: "shfmt",
    run: async (step) => {
      const files = shellScripts();
      if (files.length > 0) await step.run("shfmt", ["-w", "-i", "2", "-ci", ...files]);
    },
  },
]);
