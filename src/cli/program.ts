// The command line as a whole: parses it, runs the command, turns what happens into an exit status. Nothing here or
// below calls process.exit: native clean-up needs the event loop to end by itself.

import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addConsume } from "./commands/consume.js";
import { addDoctor } from "./commands/doctor.js";
import { addInspect } from "./commands/inspect.js";
import { addLaunch } from "./commands/launch.js";
import { addProduce } from "./commands/produce.js";
import { addServe } from "./commands/serve.js";
import { addStage } from "./commands/stage.js";
import { addTopic } from "./commands/topic.js";
import { WeftError } from "../errors.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { ReaderGone, type Streams, Terminal } from "./terminal.js";

export function buildProgram(terminal: Terminal, done: (exitCode: number) => void): Command {
  const program = new Command("weftline")
    .description("Persistent event streaming inside an HPC job.")
    .version(packageVersion())
    .option("--json", "data as JSON, one object a line; words and errors stay on stderr, errors as JSON")
    .option("-c, --config <file>", "configuration file (default: WEFTLINE_CONFIG, else ./weftline.yaml)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void terminal.streams.output.write(text),
      writeErr: (text) => void terminal.streams.words.write(text),
      outputError: (text) => {
        terminal.fail(usageError(text));
      },
    })
    .showSuggestionAfterError(true)
    .exitOverride()
    .hook("preAction", (_program, command) => {
      terminal.json = command.optsWithGlobals<{ json?: boolean }>().json === true;
    })
    .addHelpText(
      "after",
      `
Examples:
  weftline serve --data ./weft &
  weftline topic create quakes --partitions 2 --durability synced
  weftline produce quakes < earthquakes.ndjson
  weftline consume quakes --until end | head -1
  weftline log verify ./weft
  weftline launch --plan plan.yaml --dry-run

Exit status: 0 done, 1 failed, 2 wrong command line or configuration, 3 no job to talk to, 4 stored data damaged,
5 some lines of the input were not events; of launch that of the application.`,
    );
  addServe(program, terminal, done);
  addTopic(program, terminal, done);
  addProduce(program, terminal, done);
  addConsume(program, terminal, done);
  addLaunch(program, terminal, done);
  addStage(program, terminal, done);
  addInspect(program, terminal, done);
  addDoctor(program, terminal, done);
  inherit(program);
  return program;
}

/** What commander says of a wrong command line, as any other error. */
function usageError(text: string): WeftError {
  const message = text
    .trim()
    .replace(/^error: /, "")
    .replaceAll("\n", " ");
  return new WeftError("WEFT_INVALID_ARGUMENT", message, { next: "weftline --help, or weftline COMMAND --help" });
}

/** Of package.json, so that `--version` works where the native core was not built. */
function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** Sub-commands made by `command()` copy these only from their parent as it was at that moment. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inherit(child);
  }
}

/** Runs one command line; resolves with the exit status. */
export async function run(argv: readonly string[], streams: Streams): Promise<number> {
  // An error in the command line itself is told before any option was parsed.
  const terminal = new Terminal(streams, argv.includes("--json"));
  let exitCode: number = EXIT.ok;
  const program = buildProgram(terminal, (code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: "user" });
    if (!terminal.readerGone) await terminal.flush();
  } catch (error) {
    if (error instanceof ReaderGone) return EXIT.ok;
    exitCode = exitCodeOf(error);
    // commander has said its words already.
    if (!(error instanceof CommanderError)) terminal.fail(error);
  }
  return exitCode;
}
