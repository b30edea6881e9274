// TypeScript: src/ to dist/, and the programs beside it (examples, benchmarks, test programs) to build/ts/.
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { inRoot, tool } from "./paths.mjs";

/** Outputs whose source is gone: tsc leaves them, and npm pack would ship them. */
export function staleOutputs(outputs, sources) {
  const known = new Set(sources.map((name) => name.replace(/\.ts$/, "")));
  return outputs.filter((name) => {
    const stem = name.replace(/(\.d\.ts|\.js)(\.map)?$/, "");
    return stem !== name && !known.has(stem);
  });
}

const filesBelow = (folder) => (existsSync(folder) ? readdirSync(folder, { recursive: true }) : []);

async function compile(step, project, output) {
  // tsc trusts this record of its last run more than the folder it wrote to
  if (!existsSync(output)) rmSync(inRoot("build", "tsc", `${project}.tsbuildinfo`), { force: true });
  await step.run(tool("tsc"), ["-p", inRoot(`tsconfig.${project}.json`)], { next: "correct the first error above" });
}

export const typescriptBuildStep = {
  name: "TypeScript build",
  needs: ["npm packages"],
  run: async (step) => {
    const dist = inRoot("dist");
    for (const name of staleOutputs(filesBelow(dist), filesBelow(inRoot("src")))) rmSync(path.join(dist, name));
    await compile(step, "build", dist);
    const main = inRoot("dist", "cli", "main.js");
    if (existsSync(main)) chmodSync(main, 0o755);
  },
};

export const programsBuildStep = {
  name: "programs build",
  needs: ["TypeScript build"],
  run: async (step) => {
    const hasProgram = (folder) => filesBelow(inRoot(folder)).some((name) => name.endsWith(".ts"));
    if (!["examples", "bench", "test/programs"].some(hasProgram)) {
      step.note = "none yet";
      return;
    }
    await compile(step, "programs", inRoot("build", "ts"));
  },
};
