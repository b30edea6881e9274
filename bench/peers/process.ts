/** Servers of peers as child processes: free ports, folders of their own, and an end whatever happens. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, connect } from "node:net";

/** A port that nobody listens on now; the system chooses. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port could be had");
  return address.port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => {
      resolve(false);
    });
  });
}

export class PeerProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #words = "";
  #isEnded = false;

  constructor(name: string, program: string, args: readonly string[], environment: Record<string, string> = {}) {
    this.name = name;
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.#words = (this.#words + text).slice(-4096)));
    }
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#isEnded = true;
        resolve();
      };
      this.#child.on("error", (error) => {
        this.#words += error.message;
        end();
      });
      this.#child.on("close", end);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  get words(): string {
    return this.#words;
  }

  /** Until somebody listens on the port. */
  async listening(port: number, timeoutMs = 60_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    while (!(await answers(port))) {
      if (this.#isEnded) throw new Error(`${this.name} ended before it was ready: ${this.#words}`);
      if (Date.now() > end) throw new Error(`${this.name} does not listen after ${timeoutMs} ms: ${this.#words}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Asks it to end, then insists. */
  async end(timeoutMs = 10_000): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), timeoutMs);
    await this.#ended;
    clearTimeout(timer);
  }
}
