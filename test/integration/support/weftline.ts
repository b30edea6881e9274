// The `weftline` command as child processes, for tests that use it as a user does. Processes that a test leaves behind
// are ended by their id.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The built command; WEFTLINE_TEST_CLI names another build. */
export const cliPath =
  process.env["WEFTLINE_TEST_CLI"] ?? fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

export interface Finished {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  output: Buffer;
  words: string;
}

/** Waits for a condition, never for a time. */
export async function until<T>(what: string, condition: () => T | undefined | false, deadlineMs = 60_000): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = condition();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`${what} did not happen within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  outputBytes: Buffer[] = [];
  words = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on("data", (chunk: Buffer) => this.outputBytes.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => (this.words += chunk.toString()));
    child.stdin?.on("error", () => undefined); // a command that ends early closes its input
    this.finished = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (exitCode, signal) => resolve({ exitCode, signal, output: this.output, words: this.words }));
    });
  }

  get output(): Buffer {
    return Buffer.concat(this.outputBytes);
  }
  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
  async end(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal);
    return await this.finished;
  }
}

/** A directory of its own with everything started in it; `close` ends what still runs. */
export class Workplace {
  readonly directory = mkdtempSync(join(tmpdir(), "weftline-test-"));
  readonly #running: Running[] = [];

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  start(argv: readonly string[], options: { env?: Record<string, string>; input?: "pipe" | "ignore" } = {}): Running {
    return this.startProgram(process.execPath, [cliPath, ...argv], options);
  }

  /** Any program, such as an mpiexec. */
  startProgram(
    program: string,
    argv: readonly string[],
    options: { env?: Record<string, string>; input?: "pipe" | "ignore" } = {},
  ): Running {
    const env: NodeJS.ProcessEnv = { ...process.env, ...options.env };
    // Nothing of the surroundings decides.
    for (const name of Object.keys(env)) {
      if (name.startsWith("WEFTLINE_") && name !== "WEFTLINE_ADDON" && !(name in (options.env ?? {}))) delete env[name];
    }
    const child = spawn(program, argv, {
      cwd: this.directory,
      env,
      stdio: [options.input ?? "ignore", "pipe", "pipe"],
    });
    const running = new Running(child);
    this.#running.push(running);
    return running;
  }

  /** Runs a command to its end. */
  async weftline(
    argv: readonly string[],
    options: { env?: Record<string, string>; input?: string | Uint8Array } = {},
  ): Promise<Finished> {
    const running = this.start(argv, {
      ...(options.env ? { env: options.env } : {}),
      input: options.input === undefined ? "ignore" : "pipe",
    });
    if (options.input !== undefined) running.child.stdin?.end(options.input);
    return await running.finished;
  }

  /** Runs a command that must succeed; its output. */
  async ok(
    argv: readonly string[],
    options: { env?: Record<string, string>; input?: string | Uint8Array } = {},
  ): Promise<string> {
    const { exitCode, signal, output, words } = await this.weftline(argv, options);
    if (exitCode !== 0) {
      throw new Error(`weftline ${argv.join(" ")} ended with ${exitCode ?? signal}:\n${words}\n${output.toString()}`);
    }
    return output.toString();
  }

  /** Starts a server and waits until it runs. */
  async serve(
    argv: readonly string[] = [],
    env: Record<string, string> = {},
  ): Promise<Running & { facts: ServerFacts }> {
    const running = this.start(["serve", "--json", ...argv], { env });
    const line = await until("the server's start", () => {
      const text = running.output.toString();
      if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
      if (running.ended) throw new Error(`the server ended with ${running.child.exitCode}:\n${running.words}`);
      return undefined;
    });
    return Object.assign(running, { facts: JSON.parse(line) as ServerFacts });
  }

  async close(): Promise<void> {
    for (const running of this.#running) if (!running.ended) running.child.kill("SIGKILL");
    await Promise.allSettled(this.#running.map(({ finished }) => finished));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface ServerFacts {
  slot: number;
  slotEpoch: number;
  group: string;
  data: string | null;
  pid: number;
}

/** NDJSON lines parsed. */
export function parseLines<T = Record<string, unknown>>(text: string | Buffer): T[] {
  return text
    .toString()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}
