// Processes that the launcher starts: each in a process group of its own, so that a Ctrl-C of the terminal reaches the
// launcher alone, which then decides; and so that all of it can be ended at last. Lines are passed on as they are, or, with
// labels, one by one.

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { WeftError } from "../errors.js";

/** Of a line with a label. */
const LINE_CHARACTERS_MAX = 1024 * 1024;

export interface Command {
  readonly program: string;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
}

export interface Ended {
  /** As a shell reports it: 128 and more for a signal. */
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | null;
}

/** What becomes of a line of output; undefined: nothing is labelled, and bytes go straight through. */
export type Relabel = (line: string) => string;

export interface Outputs {
  readonly output: Writable;
  readonly words: Writable;
}

export class Child {
  readonly ended: Promise<Ended>;
  readonly #process: ChildProcess;
  #hasEnded = false;

  constructor(
    readonly name: string,
    command: Command,
    relabel: Relabel | undefined,
    outputs: Outputs,
  ) {
    const direct = relabel === undefined && outputs.output === process.stdout && outputs.words === process.stderr;
    this.#process = spawn(command.program, command.argv, {
      cwd: command.directory,
      env: command.environment,
      stdio: ["ignore", direct ? "inherit" : "pipe", direct ? "inherit" : "pipe"],
      detached: true,
    });
    const { stdout, stderr } = this.#process;
    for (const to of [outputs.output, outputs.words]) to.setMaxListeners(0); // every child may wait for it
    const passed = Promise.all([
      stdout && passOn(stdout, outputs.output, relabel),
      stderr && passOn(stderr, outputs.words, relabel),
    ]);
    this.ended = new Promise((resolve, reject) => {
      this.#process.on("error", (cause) => {
        this.#hasEnded = true;
        reject(
          new WeftError("WEFT_IO", `${command.program} could not be started: ${cause.message}`, {
            cause,
            next: "correct the command",
          }),
        );
      });
      this.#process.on("close", (code, signal) => {
        this.#hasEnded = true;
        const ended = { exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal };
        void passed.then(() => resolve(ended));
      });
    });
    this.ended.catch(() => undefined); // whoever waits for it gets the error
  }

  /** undefined: it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasEnded) this.#process.kill(signal);
  }

  /** SIGTERM, and after the time SIGKILL to everything that it started on this machine. */
  async end(patienceMs: number): Promise<void> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => {
      const { pid } = this.#process;
      if (this.#hasEnded || pid === undefined) return;
      try {
        process.kill(-pid, "SIGKILL");
      } catch {
        // It ended in this moment.
      }
    }, patienceMs);
    await this.ended.then(
      () => undefined,
      () => undefined,
    );
    clearTimeout(timer);
  }
}

/**
 * Bytes as they are, or lines with their labels; no faster than they are taken. A line that is longer than the limit is broken
 * there. Resolves at the end of the output.
 */
export async function passOn(from: Readable, to: Writable, relabel: Relabel | undefined): Promise<void> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const labelled = (text: string, isLast: boolean): string => {
    const lines = text.split("\n");
    lines[0] = rest + (lines[0] ?? "");
    rest = lines.pop() ?? "";
    if (rest !== "" && (isLast || rest.length > LINE_CHARACTERS_MAX)) {
      lines.push(rest);
      rest = "";
    }
    return lines.map((line) => `${relabel?.(line.replace(/\r$/, "")) ?? line}\n`).join("");
  };
  const write = async (piece: Uint8Array | string): Promise<void> => {
    if (piece.length === 0 || to.destroyed || to.write(piece)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const event of ["drain", "close", "error"]) to.removeListener(event, done);
        resolve();
      };
      for (const event of ["drain", "close", "error"]) to.on(event, done);
    });
  };
  try {
    for await (const piece of from as AsyncIterable<Buffer>) {
      await write(relabel === undefined ? piece : labelled(decoder.write(piece), false));
    }
  } catch {
    // Its end comes all the same.
  }
  if (relabel !== undefined) await write(labelled(decoder.end(), true));
}
