// srun of Slurm. Several programs in one world are a file of --multi-prog (heterogeneous steps hang with pmi2); where each
// rank goes is a file of hosts with --distribution=arbitrary. --overlap lets a step beside the world use the same cores.

import { join } from "node:path";
import { WeftError } from "../../errors.js";
import { mergeRuns } from "../rank-map.js";
import { quoteWord } from "../words.js";
import { commandOf, hostCounts, type LaunchCommand, type LauncherKind, type LaunchRequest } from "./launcher.js";

/** Slurm takes no larger file of programs. */
const PROGRAMS_BYTES_MAX = 60_000;

/** A word as --multi-prog reads it: `%t` and `%o` would be replaced, and quotes are taken off. */
function programWord(word: string): string {
  if (/[\n']/.test(word)) {
    throw new WeftError(
      "WEFT_CONFIG_INVALID",
      `${quoteWord(word)} has a quote or a line break, which srun --multi-prog cannot pass on`,
      { next: "put the command into a script of its own" },
    );
  }
  return /^[\w@+=:,./{}-]+$/.test(word) ? word : `'${word}'`;
}

/** "0-3,8 ./solver settings.json". */
export function programsText({ runs, site }: LaunchRequest): string {
  const byPart = new Map<string, { ranges: string[]; command: string }>();
  for (const run of mergeRuns(runs)) {
    const { part, firstRank, count, boundTo = "" } = run;
    const key = `${part.name} ${boundTo}`;
    const range = count === 1 ? String(firstRank) : `${firstRank}-${firstRank + count - 1}`;
    const known = byPart.get(key);
    if (known) known.ranges.push(range);
    else byPart.set(key, { ranges: [range], command: commandOf(run, site).map(programWord).join(" ") });
  }
  const text = [...byPart.values()].map(({ ranges, command }) => `${ranges.join(",")} ${command}\n`).join("");
  if (Buffer.byteLength(text) > PROGRAMS_BYTES_MAX) {
    throw new WeftError(
      "WEFT_LIMIT",
      `the programs of the launch are ${Buffer.byteLength(text)} bytes of text; srun takes ${PROGRAMS_BYTES_MAX}`,
      { next: "shorten the commands: put them into scripts" },
    );
  }
  return text;
}

function command(request: LaunchRequest): LaunchCommand {
  const { map, runs, site, mpi, options, label, beside, oversubscribe, filesDirectory } = request;
  const { flags } = site;
  const hosts = hostCounts(request);
  const size = runs.reduce((sum, { count }) => sum + count, 0);
  const name = beside ? `beside-${runs[0]?.part.name ?? "step"}` : "world";
  const files = [{ path: join(filesDirectory, `${name}.programs`), text: programsText(request) }];
  const environment: Record<string, string> = {};
  const placed: string[] = [];
  if (hosts.length > 1) {
    const path = join(filesDirectory, `${name}.hosts`);
    const lines = runs.flatMap(({ node, count }) => Array.from({ length: count }, () => map.nodes[node]?.host ?? ""));
    files.push({ path, text: `${lines.join("\n")}\n` });
    environment["SLURM_HOSTFILE"] = path;
    placed.push("--distribution=arbitrary");
  } else if (map.nodes.length > 1) {
    placed.push(`--nodelist=${hosts[0]?.host ?? ""}`);
  }
  const mpiFlags = beside ? ["--mpi=none"] : (flags?.mpi?.[mpi] ?? [mpi === "openmpi" ? "--mpi=pmix" : "--mpi=pmi2"]);
  // Slurm's other kind lets ranks out of MPI_Init too early, and Open MPI crashes of that in one launch of a hundred
  // (docs/mpi.md).
  if (hosts.length > 1 && mpiFlags.some((flag) => flag.startsWith("--mpi=pmix"))) {
    environment["SLURM_PMIX_FENCE"] = site.environment?.["SLURM_PMIX_FENCE"] ?? "ring";
  }
  const argv = [
    `--ntasks=${size}`,
    `--nodes=${hosts.length}`,
    ...placed,
    "--overlap",
    ...mpiFlags,
    ...(flags?.bind ?? ["--cpu-bind=none"]),
    ...(oversubscribe ? (flags?.oversubscribe ?? ["--overcommit"]) : []),
    // One rank that dies would leave the others waiting.
    "--kill-on-bad-exit=1",
    ...(label ? ["--label"] : []),
    ...((beside ? flags?.attach : flags?.world) ?? []),
    ...options,
    "--multi-prog",
    files[0]?.path ?? "",
  ];
  return { program: "srun", argv, environment, files, labelled: /^ *(\d+): ?(.*)$/ };
}

export const srun: LauncherKind = { name: "srun", order: "part", command };
