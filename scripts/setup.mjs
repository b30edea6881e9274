// Brings this machine to where a purpose can be built and run: `node scripts/setup.mjs [purpose]`.
import { npmPackagesStep } from "./lib/npm-packages.mjs";
import { runStepsOrExit } from "./lib/steps.mjs";
import { packagesFor, systemPackagesStep } from "./lib/system-packages.mjs";

const purpose = process.argv[2] ?? "test";
if (packagesFor[purpose] === undefined) {
  console.error(`unknown purpose '${purpose}'; use one of ${Object.keys(packagesFor).join(", ")}`);
  process.exit(2);
}
await runStepsOrExit([systemPackagesStep(purpose), npmPackagesStep]);
