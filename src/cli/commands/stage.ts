// weftline stage out | in: a server's data to a place that outlives the node, and back.

import type { Command } from "commander";
import { WeftError } from "../../errors.js";
import { stageIn, stageOut, type Staged, type StageOptions } from "../../stage/stage.js";
import type { GlobalOptions } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import { grouped, humanBytes, type Terminal } from "../terminal.js";

interface StageFlags extends GlobalOptions {
  sealed?: boolean;
  ifEmpty?: boolean;
}

/** Where a launcher says which of its processes this is. */
const RANK_VARIABLES = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID", "SLURM_PROCID"];

/** `{rank}` in a path is the rank of this process in its launch, so that one command line does for all servers. */
function withRank(path: string, environment: Readonly<Record<string, string | undefined>>): string {
  if (!path.includes("{rank}")) return path;
  const rank = RANK_VARIABLES.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
  if (rank !== undefined) return path.replaceAll("{rank}", rank);
  throw new WeftError("WEFT_INVALID_ARGUMENT", `${path} has a {rank}, and no launcher says which rank this is`, {
    next: "write the number, or start it with an mpiexec or srun",
  });
}

async function tell(terminal: Terminal, staged: Staged, began: number): Promise<void> {
  const { directory, files, bytes, copied, events, complete } = staged;
  const seconds = (Date.now() - began) / 1000;
  if (terminal.json) {
    await terminal.writeJson({ directory, files, bytes, copied, events: events ?? null, complete, seconds });
    return;
  }
  const was = copied === files ? "" : `, ${grouped(files - copied)} of them there before`;
  const verified = events === undefined ? "" : `, ${grouped(events)} events verified`;
  const kind = complete ? "" : " (sealed segments alone: not complete)";
  terminal.say(
    `${directory}: ${grouped(files)} files, ${humanBytes(bytes)}${was}${verified}, ${seconds.toFixed(1)} s${kind}`,
  );
}

function optionsFor(terminal: Terminal, flags: StageFlags): StageOptions {
  let bytes = 0;
  return {
    sealedOnly: flags.sealed === true,
    progress: (file) => {
      bytes += file.bytes;
      terminal.progress(`${humanBytes(bytes)} ${file.path}`);
    },
  };
}

export function addStage(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  const stage = program
    .command("stage")
    .summary("copy a server's data out and in again, verified")
    .description("A server's data to a place that outlives the node, and back, with every file verified.");
  stage
    .command("out <data> <directory>")
    .description(
      "Copies the data directory of a server that has ended. The directory appears under its name when all is there and verified; until then it is DIRECTORY.partial, and the same command goes on with it.",
    )
    .option("--sealed", "only segments that no server writes any more; beside one that runs, and not complete")
    .addHelpText(
      "after",
      "\nExamples:\n  weftline stage out /mnt/bb/me/weft /lustre/me/run-7\n  srun weftline stage out '/local/weft' '/lustre/me/run-7/{rank}'",
    )
    .action(async (data: string, directory: string, _options: unknown, command: Command) => {
      const flags = command.optsWithGlobals<StageFlags>();
      const { environment } = terminal.streams;
      const began = Date.now();
      const to = withRank(directory, environment);
      await tell(terminal, await stageOut(withRank(data, environment), to, optionsFor(terminal, flags)), began);
      done(EXIT.ok);
    });
  stage
    .command("in <directory> <data>")
    .description("Copies what `stage out` wrote to a data directory that is empty, where a server can go on with it.")
    .option("--if-empty", "leave a data directory that is not empty as it is")
    .addHelpText("after", "\nExamples:\n  weftline stage in /lustre/me/run-7 /mnt/bb/me/weft")
    .action(async (directory: string, data: string, _options: unknown, command: Command) => {
      const flags = command.optsWithGlobals<StageFlags>();
      const { environment } = terminal.streams;
      const began = Date.now();
      const options = { ...optionsFor(terminal, flags), ifEmpty: flags.ifEmpty === true };
      const staged = await stageIn(withRank(directory, environment), withRank(data, environment), options);
      if (staged.copied === 0 && options.ifEmpty) terminal.say(`${data} is not empty: it is left as it is`);
      else await tell(terminal, staged, began);
      done(EXIT.ok);
    });
}
