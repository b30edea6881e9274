// weftline launch: runs a plan, shows what it would do, or writes the job script for it.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { stringify } from "yaml";
import { WeftError } from "../../errors.js";
import type { PartConfig, PlanConfig } from "../../config/plan-config.js";
import type { TopicConfig } from "../../config/topic-config.js";
import { describeLaunch, summaryOf } from "../../launch/describe.js";
import { jobScript } from "../../launch/job-script.js";
import { type LaunchInput, prepareLaunch } from "../../launch/prepare.js";
import { runLaunch } from "../../launch/run.js";
import { readSite, siteNames } from "../../launch/sites.js";
import { quoteWords } from "../../launch/words.js";
import { type GlobalOptions, loadFor } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import { columns, type Terminal } from "../terminal.js";

interface LaunchFlags extends GlobalOptions {
  plan?: string;
  site?: string;
  mpi?: "mpich" | "openmpi";
  dryRun?: boolean;
  label?: boolean;
  output?: string;
  nodes?: string;
  firstNodes?: string;
  servers?: string;
  data?: string;
  topic?: string[];
  stageOut?: string;
}

const HOME = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
const CLI = fileURLToPath(new URL("../main.js", import.meta.url));

function usage(message: string, next: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", message, { next });
}

function wholeNumber(flag: string, given: string): number {
  const value = Number(given);
  if (/^\d+$/.test(given) && Number.isSafeInteger(value)) return value;
  throw usage(`${flag} '${given}' is not a whole number`, `give a number, such as ${flag} 2`);
}

/** `-n 4 ./solver : -n 1 node analysis.js` as parts of a plan. */
export function partsOfWords(words: readonly string[]): PartConfig[] {
  const segments: string[][] = [[]];
  for (const word of words) {
    if (word === ":") segments.push([]);
    else segments.at(-1)?.push(word);
  }
  const names = new Map<string, number>();
  return segments.map((segment) => {
    const counted = segment[0] === "-n" || segment[0] === "-np";
    const command = counted ? segment.slice(2) : segment;
    const [program] = command;
    if (program === undefined) {
      throw usage(`a program is missing in '${quoteWords(words)}'`, "write -n 4 ./solver : -n 1 node analysis.js");
    }
    const plain = basename(program).replaceAll(/[^\w.-]/g, "_") || "program";
    const number = names.get(plain) ?? 0;
    names.set(plain, number + 1);
    const name = number === 0 && plain !== "server" ? plain : `${plain}-${number + 1}`;
    return { name, ranks: counted ? wholeNumber("-n", segment[1] ?? "") : 1, command };
  });
}

/** "field" or "field:4". */
function topicsOfFlags(given: readonly string[]): Record<string, TopicConfig> {
  return Object.fromEntries(
    given.map((text) => {
      const [name = "", partitions] = text.split(":");
      return [name, partitions === undefined ? {} : { partitions: wholeNumber("--topic", partitions) }];
    }),
  );
}

/** The plan of the flags, written where servers read it too. */
function inputOfFlags(
  flags: LaunchFlags,
  words: readonly string[],
  directory: string,
): Pick<LaunchInput, "config" | "topics" | "file"> {
  if (words.length === 0) {
    throw usage(
      "there is nothing to launch",
      "give --plan FILE, or programs behind --: weftline launch -- -n 4 ./solver",
    );
  }
  const data = flags.data ?? "weft";
  const config: PlanConfig = {
    servers: { ...(flags.servers === undefined ? {} : { count: wholeNumber("--servers", flags.servers) }), data },
    run: partsOfWords(words),
    ...(flags.stageOut === undefined ? {} : { end: { stageOut: flags.stageOut } }),
  };
  const topics = topicsOfFlags(flags.topic ?? []);
  if (Object.keys(topics).length === 0) return { config, topics, file: undefined };
  const file = resolve(directory, data, "launch.yaml");
  if (flags.dryRun !== true) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `# Written by weftline launch.\n${stringify({ topics })}`);
  }
  return { config, topics, file };
}

function inputOfPlan(terminal: Terminal, flags: LaunchFlags): Pick<LaunchInput, "config" | "topics" | "file"> {
  const { environment, directory } = terminal.streams;
  const named = flags.plan ?? flags.config ?? environment["WEFTLINE_CONFIG"] ?? "weftline.yaml";
  const file = resolve(directory, named);
  if (!existsSync(file)) {
    throw usage(
      `there is no plan file ${file}`,
      "give --plan FILE, or programs behind --: weftline launch -- -n 4 ./solver",
    );
  }
  const { plan, topics } = loadFor(terminal, { ...flags, config: file });
  const config: PlanConfig = {
    ...plan,
    ...(flags.data === undefined ? {} : { servers: { ...plan.servers, data: flags.data } }),
    ...(flags.stageOut === undefined ? {} : { end: { ...plan.end, stageOut: flags.stageOut } }),
  };
  if (config.servers === undefined && config.run === undefined) {
    throw new WeftError("WEFT_CONFIG_INVALID", `${file}: there is no plan in it: neither servers nor run`, {
      next: "see docs/launch.md for what a plan is",
    });
  }
  return { config, topics, file };
}

function launchInput(terminal: Terminal, flags: LaunchFlags, words: readonly string[]): LaunchInput {
  const { environment, directory } = terminal.streams;
  const given = words.length > 0 ? inputOfFlags(flags, words, directory) : inputOfPlan(terminal, flags);
  const config =
    flags.mpi === undefined ? given.config : { ...given.config, launch: { ...given.config.launch, mpi: flags.mpi } };
  return {
    ...given,
    config,
    site: flags.site,
    environment,
    directory,
    weftline: [process.execPath, CLI],
    label: flags.label === true,
    assumedNodes: flags.nodes === undefined ? undefined : wholeNumber("--nodes", flags.nodes),
    firstNodes: flags.firstNodes === undefined ? undefined : wholeNumber("--first-nodes", flags.firstNodes),
  };
}

/** The words of a part that say `weftline` are this command line, on PATH or not. */
function withOwnCommand(config: PlanConfig): PlanConfig {
  const own = [process.execPath, CLI];
  const run = config.run?.map((part): PartConfig => {
    const { command } = part;
    if (typeof command === "string") {
      return /^\s*weftline\s/.test(command)
        ? { ...part, command: command.replace(/^\s*weftline/, quoteWords(own)) }
        : part;
    }
    return command[0] === "weftline" ? { ...part, command: [...own, ...command.slice(1)] } : part;
  });
  return run === undefined ? config : { ...config, run };
}

async function writeScript(terminal: Terminal, flags: LaunchFlags, siteName: string): Promise<number> {
  const { directory } = terminal.streams;
  const { config, file } = inputOfPlan(terminal, flags);
  const site = readSite(siteName, directory);
  const text = jobScript({ site, config, planFile: file ?? "", home: HOME });
  if (flags.output === undefined) {
    await terminal.write(text);
    return EXIT.ok;
  }
  const path = resolve(directory, flags.output);
  try {
    writeFileSync(path, text, { mode: 0o755 });
  } catch (cause) {
    throw new WeftError("WEFT_NOT_WRITABLE", `the job script ${path} cannot be written: ${(cause as Error).message}`, {
      cause,
      next: "name a file in a directory that is there: --output FILE",
    });
  }
  const submit = { slurm: "sbatch", pbs: "qsub", none: "bash" }[site.config.scheduler];
  terminal.say(`${path} is written: look at its lines with EDIT, then ${submit} ${quoteWords([flags.output])}`);
  return EXIT.ok;
}

async function run(terminal: Terminal, flags: LaunchFlags, words: readonly string[]): Promise<number> {
  if (flags.plan !== undefined && words.length > 0) {
    const [site = "", ...more] = words;
    if (more.length > 0)
      throw usage(`'${quoteWords(more)}' has no meaning beside --plan`, "give the programs in the plan");
    return await writeScript(terminal, flags, site);
  }
  const input = launchInput(terminal, flags, words);
  const prepared = prepareLaunch({ ...input, config: withOwnCommand(input.config) });
  if (flags.dryRun === true) {
    const description = describeLaunch(prepared);
    if (terminal.json) {
      await terminal.writeJson(description);
      return EXIT.ok;
    }
    const rows = description.ranks.map(({ ranks, node, part, command }) => [ranks, node, part, command]);
    await terminal.write(columns([["rank", "node", "part", "command"], ...rows]));
    await terminal.write(`\n${description.commands.join("\n")}\n`);
    for (const { path, text } of description.files) await terminal.write(`\n${path}:\n${text}`);
    return EXIT.ok;
  }
  if (flags.nodes !== undefined)
    throw usage("--nodes is for --dry-run alone", "a launch takes the nodes that it is given");
  const ended = runLaunch(prepared, {
    output: terminal.streams.output,
    words: terminal.streams.words,
    say: (text) => terminal.say(`weftline launch: ${text}`),
  });
  // Behind it, since who reads this may send a signal, to which it listens by now.
  terminal.say(`${summaryOf(prepared)} (${prepared.site.name}, ${prepared.launcher?.kind.name ?? "no launcher"})`);
  return await ended;
}

export function addLaunch(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  const sites = siteNames().join(", ");
  program
    .command("launch [words...]")
    .usage("[options] [SITE] --plan FILE | [options] -- [-n RANKS] PROGRAM… [: …]")
    .summary("run a plan of servers and programs in one MPI launch, or write its job script")
    .description(
      `Runs the servers and programs of a plan in one MPI launch, here or on the nodes of a Slurm or PBS job. With the name of a site (${sites}, or a site file) before --plan it writes a job script instead.`,
    )
    .option("-p, --plan <file>", "the plan (docs/launch.md)")
    .option("--site <name>", "site file to use (default: what is recognised)")
    .option("--mpi <family>", "mpich or openmpi (default: what is found)")
    .option("--dry-run", "only show who would run where, and the exact command lines")
    .option("--nodes <number>", "with --dry-run: as if there were so many nodes")
    .option("--first-nodes <number>", "only the first so many nodes of the job")
    .option("--label", "put the part and rank before each line of output")
    .option("-o, --output <file>", "where the job script goes (default: stdout)")
    .option("--servers <number>", "without a plan: so many servers (default: one on each node)")
    .option("--data <directory>", "data directory of the servers (default: the plan's, else ./weft)")
    .option("--topic <name>", "without a plan: a topic, NAME or NAME:PARTITIONS; may be repeated", collect, [])
    .option("--stage-out <directory>", "where the data goes at the end")
    .addHelpText(
      "after",
      `
Examples:
  weftline launch --plan plan.yaml --dry-run         who runs where
  weftline launch --plan plan.yaml                   run it here, or in the job whose script this is
  weftline launch frontier --plan plan.yaml -o job.sh
  weftline launch --topic field:4 -- -n 4 ./solver : -n 1 node analysis.js

The exit status is that of the application. SIGTERM and SIGINT drain the servers and end the launch; SIGUSR1, the warning
before a time limit, does so after the plan's end.warning, and then the status is 75: start it again to go on.`,
    )
    .action(async (words: string[], _options: unknown, command: Command) => {
      const flags = command.optsWithGlobals<LaunchFlags>();
      if (flags.mpi !== undefined && !["mpich", "openmpi"].includes(flags.mpi)) {
        throw usage(`--mpi '${flags.mpi as string}' is not mpich or openmpi`, "give one of them");
      }
      done(await run(terminal, flags, words));
    });
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
