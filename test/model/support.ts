// Servers and clients of the tests of the event model: real ones, in this process, over the fabric.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { type ErrorCode, type Job, type Server, type WeftError, attach, isWeftError, serve } from "../../src/index.js";

/** A server and a client, which `restart` ends and starts again on the same data. */
export class Place {
  readonly directory = mkdtempSync(path.join(tmpdir(), "weft-model-"));
  server!: Server;
  job!: Job;

  static async open(): Promise<Place> {
    const place = new Place();
    await place.start();
    return place;
  }

  async start(): Promise<void> {
    this.server = await serve({ data: path.join(this.directory, "data"), signals: false });
    this.job = await attach(this.server.group);
  }

  async stop(): Promise<void> {
    await this.job.close();
    await this.server.close();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true });
  }

  /** Writes a file, and returns its path. */
  file(name: string, text: string): string {
    const file = path.join(this.directory, name);
    writeFileSync(file, text);
    return file;
  }
}

/** The error of a call, which must have that code. */
export async function errorOf(code: ErrorCode, call: () => unknown): Promise<WeftError> {
  try {
    await call();
  } catch (error) {
    if (isWeftError(error, code)) return error;
    throw error;
  }
  throw new Error(`it did not fail with ${code}`);
}

/** Asks again until it is so. */
export async function eventually(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  deadlineMs = 60_000,
): Promise<void> {
  const endMs = Date.now() + deadlineMs;
  while (!(await isSo())) {
    if (Date.now() > endMs) throw new Error(`it did not come true within ${deadlineMs} ms that ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
