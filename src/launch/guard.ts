// What a launch leaves when its launcher is killed is ended by another process, the guard. It holds the other end of a pipe
// that only the launcher has open, so it learns of every death, and it knows by then what runs and how to end it in order.
// Each line of the pipe is one GuardMessage.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LaunchCommand } from "./launchers/launcher.js";

export interface GuardFacts {
  readonly launcher: number;
  /** Asks the servers to drain; undefined: there are none. */
  readonly stop: Pick<LaunchCommand, "program" | "argv" | "environment" | "files"> | undefined;
  /** For the request and the drain; then everything is ended. */
  readonly drainMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly patienceMs: number;
  readonly data: string;
  /** The words that stage out, which the guard does not do; undefined: nothing was to be. */
  readonly stageOut: string | undefined;
}

export type GuardMessage =
  | { readonly facts: GuardFacts }
  | { readonly started: number; readonly name: string }
  | { readonly ended: number }
  /** Of the launcher's own; goes with it. */
  | { readonly temporary: string };

/** What holds the servers is called so among what a launch starts. */
export const WORLD = "the world";

const GUARD = fileURLToPath(new URL("./guard-process.js", import.meta.url));
const END_MS_MAX = 2_000;

export class Guard {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;

  constructor(facts: GuardFacts) {
    // In a session of its own: neither a Ctrl-C nor a signal to the launcher's process group reaches it.
    this.#process = spawn(process.execPath, [GUARD], { detached: true, stdio: ["pipe", "ignore", "inherit"] });
    this.#gone = new Promise((resolve) => {
      this.#process.on("close", () => resolve());
      this.#process.on("error", () => resolve()); // a launch without a guard is a launch all the same
    });
    this.#process.stdin?.on("error", () => undefined);
    this.#process.unref();
    this.tell({ facts });
  }

  tell(message: GuardMessage): void {
    this.#process.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  /** The launch has ended; nothing is left to do. */
  async close(): Promise<void> {
    this.#process.stdin?.end();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, END_MS_MAX)));
    await Promise.race([this.#gone, late]);
    clearTimeout(timer);
  }
}
