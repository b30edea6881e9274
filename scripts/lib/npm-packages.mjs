// `npm ci`, once per package-lock.json: a stamp inside node_modules holds the lock file's digest.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { inRoot } from "./paths.mjs";

const stampFile = inRoot("node_modules", ".weftline-stamp");

/** What node_modules must match: the lock file, and the Node version line that it was installed for. */
export function stampOf(lockText, nodeVersion) {
  return `${createHash("sha256").update(lockText).digest("hex")} node ${nodeVersion.split(".")[0]}\n`;
}

function readStamp() {
  try {
    return readFileSync(stampFile, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return "";
    throw error;
  }
}

export const npmPackagesStep = {
  name: "npm packages",
  stops: true,
  run: async (step) => {
    const stamp = stampOf(readFileSync(inRoot("package-lock.json"), "utf8"), process.versions.node);
    if (readStamp() === stamp) {
      step.note = "all there";
      return;
    }
    await step.run("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"], {
      next: "look at npm's message above; a package that cannot be fetched is usually the network or the registry setting",
      timeoutS: 900,
    });
    writeFileSync(stampFile, stamp);
  },
};
