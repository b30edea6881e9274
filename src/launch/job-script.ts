// A complete job script for a plan and a site. Every line that its user has to look at is at the top, with a comment; what
// follows is the same for all. Pure.

import { dirname } from "node:path";
import { WeftError } from "../errors.js";
import type { JobConfig, PlanConfig } from "../config/plan-config.js";
import { parseTime } from "../config/units.js";
import { type Site, SITES_DIRECTORY } from "./sites.js";
import { quoteWord } from "./words.js";

const WARN_MS_DEFAULT = 120_000;

/** What stands in a script for a value that the plan does not have. */
const TO_FILL_IN: Readonly<Record<string, string>> = { account: "PROJECT", queue: "QUEUE" };

function secondsOf(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(":").map(Number);
  return hours * 3600 + minutes * 60 + seconds;
}

/** With the values of `{name}` and the like. WEFT_CONFIG_INVALID: one that nobody can fill in. */
function filled(line: string, values: Readonly<Record<string, string>>, site: Site): string {
  return line.replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name] ?? TO_FILL_IN[name];
    if (value !== undefined) return value;
    throw new WeftError("WEFT_CONFIG_INVALID", `${site.file}: header: ${whole} is not known`, {
      next: `use ${Object.keys({ ...values, ...TO_FILL_IN }).join(", ")}`,
    });
  });
}

function valuesOf(job: JobConfig): Record<string, string> {
  const { name = "weftline", nodes = 1, time = "00:30:00", account, queue } = job;
  const warn = parseTime(job.warn ?? WARN_MS_DEFAULT);
  const warnS = "value" in warn ? Math.ceil(warn.value / 1000) : WARN_MS_DEFAULT / 1000;
  return {
    name,
    nodes: String(nodes),
    time,
    warnSeconds: String(warnS),
    runSeconds: String(Math.max(1, secondsOf(time) - warnS)),
    ...(account === undefined ? {} : { account }),
    ...(queue === undefined ? {} : { queue }),
  };
}

export interface JobScriptInput {
  readonly site: Site;
  readonly config: PlanConfig;
  /** Absolute path of the plan. */
  readonly planFile: string;
  /** The folder of the package whose command line this is. */
  readonly home: string;
}

/** The text of the script. WEFT_CONFIG_INVALID: the site's header has a placeholder that is not known. */
export function jobScript({ site, config, planFile, home }: JobScriptInput): string {
  const { scheduler, header = [], modules = [], setup = [] } = site.config;
  const job = config.job ?? {};
  const values = valuesOf(job);
  const lines = ["#!/bin/bash"];
  // The directives of a scheduler end at the first command: comments may stand between them, nothing else.
  for (const { line, edit, when } of header) {
    if (when !== undefined && job[when as keyof JobConfig] === undefined) continue;
    if (edit !== undefined) lines.push(`# EDIT: ${edit}`);
    lines.push(filled(line, values, site));
  }
  lines.push("", `# A job for ${quoteWord(planFile)} on ${site.name}: ${site.config.description}`);
  lines.push("# EDIT: where Weftline and the plan are");
  lines.push(`export WEFTLINE_HOME=${quoteWord(home)}`);
  lines.push(`plan=${quoteWord(planFile)}`);
  lines.push("# EDIT: what the programs of the plan were built with; node must come to be on PATH");
  if (modules.length === 0 && setup.length === 0) lines.push("# such as: module load mpich nodejs");
  lines.push(...modules.map((name) => `module load ${name}`));
  lines.push(...setup.map((line) => line.replaceAll("{account}", values["account"] ?? "PROJECT")));
  if (scheduler === "pbs") {
    // PBS does not warn a job before its end: the time is kept here.
    lines.push("# EDIT: seconds until the warning; less than walltime by what the drain and a copy take");
    lines.push(`warn_after=${values["runSeconds"]}`);
  }
  lines.push("", "# Nothing below needs to be edited.", "set -euo pipefail");
  if (scheduler === "pbs") lines.push('cd "$PBS_O_WORKDIR"');
  lines.push('export PATH="$WEFTLINE_HOME/launch:$PATH"');
  const named = quoteWord(dirname(site.file) === SITES_DIRECTORY ? site.name : site.file);
  const launch = `weftline launch --site ${named} --plan "$plan"`;
  if (scheduler === "pbs") {
    lines.push(`exec timeout --foreground --preserve-status --signal=USR1 "$warn_after" ${launch}`);
  } else lines.push(`exec ${launch}`);
  return `${lines.join("\n")}\n`;
}
