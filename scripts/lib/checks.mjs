// The checks that need no test runner: lint, format, types, layers, generated files. Each counts as one.
import { readdirSync, readFileSync } from "node:fs";
import { generateErrors } from "../generate-errors.mjs";
import { capture } from "./command.mjs";
import { inRoot, tool } from "./paths.mjs";
import { StepFailure } from "./steps.mjs";

const formatNext = "run `npm run format`";

/** Files of the working tree that git does not ignore; without git, all below the folders of ours. */
export function ourFiles(pattern) {
  const { status, stdout } = capture("git", [
    "ls-files",
    "--cached",
    "--others",
    "--exclude-standard",
    "--deduplicate",
  ]);
  const listed =
    status === 0
      ? stdout.split("\n")
      : ["native", "scripts", "launch", "slurm", "pbs", "bench", "test", "examples"].flatMap((folder) => {
          try {
            return readdirSync(inRoot(folder), { recursive: true }).map((name) => `${folder}/${name}`);
          } catch {
            return []; // a folder that this checkout does not have
          }
        });
  return listed.filter((name) => name !== "" && pattern.test(name) && exists(name)).sort();
}

function exists(name) {
  try {
    readFileSync(inRoot(name));
    return true;
  } catch {
    return false; // removed in the working tree, or a folder
  }
}

export function shellScripts() {
  const named = ourFiles(/\.sh$/);
  const byFirstLine = ourFiles(/(^|\/)[^./]+$/).filter((name) =>
    /^#!.*\b(ba)?sh\b/.test(readFileSync(inRoot(name), "utf8").slice(0, 80)),
  );
  return [...new Set([...named, ...byFirstLine])];
}

export const nativeFiles = () => ourFiles(/\.(c|cc|cpp|h|hpp)$/);

async function overFiles(step, files, program, args, next) {
  if (files.length === 0) {
    step.note = "no such files";
    return;
  }
  await step.run(program, [...args, ...files], { next });
  step.note = `${files.length} files`;
}

/** The lock file may name packages and digests, and no host: every machine uses the registry that it is set to. */
export function hostsInLock(text) {
  const hosts = new Set();
  for (const match of text.matchAll(/"resolved": "(?:git\+)?[a-z+]+:\/\/([^/"]+)/g)) {
    if (match[1] !== "registry.npmjs.org") hosts.add(match[1]);
  }
  return [...hosts];
}

const check = (name, run, needs = ["npm packages"]) => ({ name, needs, run, counts: 1 });

export const lintSteps = [
  check("eslint", (step) => step.run(tool("eslint"), [".", "--max-warnings", "0"])),
  check("prettier", (step) =>
    step.run(tool("prettier"), ["--check", "--log-level", "warn", "."], { next: formatNext }),
  ),
  check(
    "clang-format",
    (step) => overFiles(step, nativeFiles(), "clang-format", ["--dry-run", "-Werror"], formatNext),
    ["system packages"],
  ),
  check(
    "shellcheck",
    (step) =>
      overFiles(step, shellScripts(), "shellcheck", [], "each SCnnnn code above has a page in shellcheck's wiki"),
    ["system packages"],
  ),
  check("shfmt", (step) => overFiles(step, shellScripts(), "shfmt", ["-d", "-i", "2", "-ci"], formatNext), [
    "system packages",
  ]),
  check(
    "generated files",
    (step) => {
      const changed = generateErrors({ write: false });
      step.say(changed.length === 0 ? "all match their source" : `not up to date: ${changed.join(", ")}`);
      if (changed.length > 0)
        throw new StepFailure(`not up to date: ${changed.join(", ")}`, "run `npm run generate` and commit the result");
    },
    [],
  ),
  check(
    "lock file",
    (step) => {
      const hosts = hostsInLock(readFileSync(inRoot("package-lock.json"), "utf8"));
      step.say(`hosts other than the default registry: ${hosts.join(", ") || "none"}`);
      if (hosts.length > 0) {
        throw new StepFailure(
          `package-lock.json names ${hosts.join(", ")}`,
          "run `npm install --package-lock-only` with this folder's .npmrc",
        );
      }
    },
    [],
  ),
  check("types", (step) =>
    step.run(tool("tsc"), ["-p", inRoot("tsconfig.json")], { next: "correct the first error above" }),
  ),
  check("layers", (step) =>
    step.run(tool("depcruise"), ["--config", inRoot(".dependency-cruiser.cjs"), "src"], {
      next: "ARCHITECTURE.md says who may import whom",
    }),
  ),
];
