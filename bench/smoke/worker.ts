/**
 * Processes that take part in a measurement: the main process asks, one answers, one question at a time. A worker ends
 * when it is asked to or when the main process is gone; what it writes to stderr is shown if it fails.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** What a worker can be asked; each takes one plain object and returns one. */
export type Commands = Record<string, (argument: never) => unknown>;

interface Question {
  readonly number: number;
  readonly command: string;
  readonly argument: unknown;
}
interface Answer {
  readonly number: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** In the worker: answers until the main process lets go. `end` closes what is open. */
export function answerAll(commands: Commands, end: () => Promise<void>): void {
  const answer = async ({ number, command, argument }: Question): Promise<Answer> => {
    try {
      const run = commands[command] as ((argument: unknown) => unknown) | undefined;
      if (run === undefined) throw new Error(`unknown command ${command}`);
      return { number, result: await run(argument) };
    } catch (error) {
      return { number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  };
  process.on("message", (question: Question) => {
    void answer(question).then((reply) => process.send?.(reply));
  });
  process.on("disconnect", () => {
    end().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
}

/** In the main process. */
export class Worker {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<string>;
  #waiting: { resolve: (result: unknown) => void; reject: (error: Error) => void } | undefined;
  #number = 0;
  #stderr = "";

  /** `program`: a module beside this one, such as "producer.js". */
  constructor(name: string, program: string, nodeArguments: readonly string[] = []) {
    this.name = name;
    this.#child = fork(fileURLToPath(new URL(program, import.meta.url)), [], {
      execArgv: [...nodeArguments],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-8192);
    });
    this.#child.on("message", (answer: Answer) => {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      if (answer.error === undefined) waiting?.resolve(answer.result);
      else waiting?.reject(new Error(`${this.name}: ${answer.error}\n${this.#stderr}`));
    });
    this.#ended = new Promise((resolve) => {
      this.#child.on("exit", (code, signal) => {
        const how = signal === null ? `status ${String(code)}` : signal;
        this.#waiting?.reject(new Error(`${this.name} ended with ${how}\n${this.#stderr}`));
        this.#waiting = undefined;
        resolve(how);
      });
    });
  }

  async ask<Result>(command: string, argument: object = {}, timeoutMs = 60_000): Promise<Result> {
    if (this.#waiting !== undefined) throw new Error(`${this.name} is still busy`);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Result>((resolve, reject) => {
        this.#waiting = { resolve: resolve as (result: unknown) => void, reject };
        timer = setTimeout(() => {
          reject(new Error(`${this.name} has not answered '${command}' within ${timeoutMs} ms\n${this.#stderr}`));
        }, timeoutMs);
        this.#child.send({ number: this.#number++, command, argument } satisfies Question);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets it close what it has open; kills it if that takes too long. Never rejects. */
  async end(timeoutMs = 20_000): Promise<string> {
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    const how = await this.#ended;
    clearTimeout(timer);
    if (how !== "status 0") console.error(`${this.name} ended with ${how}\n${this.#stderr}`);
    return how;
  }
}
