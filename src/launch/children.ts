// Processes that the launcher starts: each in a process group of its own, so that a Ctrl-C of the terminal reaches the
// launcher alone, which then decides; and so that all of it can be ended at last. Lines are passed on as they are, or, with
// labels, one by one.

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { WeftError } from "../errors.js";

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
    if (this.#process.stdout) passLines(this.#process.stdout, outputs.output, relabel);
    if (this.#process.stderr) passLines(this.#process.stderr, outputs.words, relabel);
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
        resolve({ exitCode: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal });
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

function passLines(from: Readable, to: Writable, relabel: Relabel | undefined): void {
  from.on("error", () => undefined); // its end comes all the same
  if (relabel === undefined) {
    from.on("data", (bytes: Buffer) => void to.write(bytes));
    return;
  }
  let rest = "";
  from.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) to.write(`${relabel(line)}\n`);
  });
  from.on("end", () => {
    if (rest !== "") to.write(`${relabel(rest)}\n`);
  });
}
