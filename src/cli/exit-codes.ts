// What the command's exit status says (docs/cli.md). Stable, for scripts.

import { CommanderError } from "commander";
import { WeftError } from "../errors.js";

export const EXIT = {
  ok: 0,
  /** The operation failed; the error says why. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was tried. */
  usage: 2,
  /** There is no job to talk to. */
  noJob: 3,
  /** Stored bytes are damaged. */
  damaged: 4,
  /** Some lines of the input were not events; all others were stored. */
  badLines: 5,
  /** A launch was warned of its end, drained and staged: started again it goes on. */
  comeAgain: 75,
} as const;

const BY_CODE: Readonly<Partial<Record<WeftError["code"], number>>> = {
  WEFT_CONFIG_INVALID: EXIT.usage,
  WEFT_INVALID_ARGUMENT: EXIT.usage,
  WEFT_NO_SERVER: EXIT.noJob,
  WEFT_GROUP_MISSING: EXIT.noJob,
  WEFT_GROUP_STALE: EXIT.noJob,
  WEFT_GROUP_UNREADABLE: EXIT.noJob,
  WEFT_GROUP_OTHER_JOB: EXIT.noJob,
  WEFT_CORRUPT: EXIT.damaged,
};

export function exitCodeOf(error: unknown): number {
  const suppressed = (error as { suppressed?: unknown } | undefined)?.suppressed;
  if (suppressed !== undefined) return exitCodeOf(suppressed);
  if (error instanceof WeftError) return BY_CODE[error.code] ?? EXIT.failed;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return EXIT.failed;
}

/** As a shell reports a process that a signal ended. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return signal === "SIGINT" ? 130 : 143;
}
