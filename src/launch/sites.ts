// Site files: those that come with the package (launch/sites), and a user's own. Which one holds is what the user says, else
// the one whose `detect` the environment meets, else the scheduler's plain one. Reads files, nothing else.

import { readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readSiteFile } from "../config/file.js";
import type { SiteConfig } from "../config/site-config.js";
import { expandVariables } from "../config/settings.js";
import { nearest } from "../config/units.js";
import { WeftError } from "../errors.js";
import type { Variables } from "./words.js";

export interface Site {
  readonly name: string;
  readonly file: string;
  readonly config: SiteConfig;
}

export const SITES_DIRECTORY = fileURLToPath(new URL("../../launch/sites", import.meta.url));

/** Names of the sites that come with the package. */
export function siteNames(directory = SITES_DIRECTORY): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => basename(name, ".yaml"))
    .sort();
}

/** By name, or by the path of a file. WEFT_CONFIG_INVALID with the place of what is wrong in it. */
export function readSite(given: string, workingDirectory: string, directory = SITES_DIRECTORY): Site {
  if (given.includes("/") || given.endsWith(".yaml")) {
    const file = resolve(workingDirectory, given);
    return { name: basename(file, ".yaml"), file, config: readSiteFile(file) };
  }
  const names = siteNames(directory);
  if (!names.includes(given)) {
    const guess = nearest(given, names);
    throw new WeftError("WEFT_INVALID_ARGUMENT", `there is no site '${given}'; there are ${names.join(", ")}`, {
      next: guess === undefined ? "name one of them, or give the path of a site file" : `did you mean ${guess}?`,
    });
  }
  const file = join(directory, `${given}.yaml`);
  return { name: given, file, config: readSiteFile(file) };
}

export function detectSite(environment: Variables, directory = SITES_DIRECTORY): Site {
  const has = (name: string): boolean => (environment[name] ?? "") !== "";
  for (const name of siteNames(directory)) {
    const site = readSite(name, directory, directory);
    const marks = Object.entries(site.config.detect ?? {});
    if (marks.length > 0 && marks.every(([variable, value]) => environment[variable] === value)) return site;
  }
  const plain = has("SLURM_JOB_ID") ? "slurm" : has("PBS_NODEFILE") ? "pbs" : "local";
  return readSite(plain, directory, directory);
}

/** NODE_LOCAL, SHARED and JOB_ID for the paths and commands of a plan; what the environment has already counts. */
export function variablesOf(site: SiteConfig, environment: Variables, jobId: string): Variables {
  const variables: Record<string, string | undefined> = { JOB_ID: jobId, ...environment };
  const { nodeLocal, shared } = site.paths ?? {};
  for (const [name, path] of [
    ["NODE_LOCAL", nodeLocal],
    ["SHARED", shared],
  ] as const) {
    if (path === undefined || (variables[name] ?? "") !== "") continue;
    const expanded = expandVariables(path, variables);
    if ("value" in expanded) variables[name] = expanded.value; // else a plan that uses it is told so
  }
  return variables;
}
