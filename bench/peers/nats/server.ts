/** One NATS server with JetStream and a file store on this host, with a folder and a port of its own. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { PeerProcess, freePort } from "../process.js";

/** As large as the server allows. */
export const natsPayloadBytesMax = 64 * 1024 * 1024;

function findProgram(): string {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin"];
  const found = folders.map((folder) => path.join(folder, "nats-server")).find((file) => existsSync(file));
  if (found === undefined) throw new Error("nats-server is not there: install nats-server");
  return found;
}

/** Since 2.10 a store can sync each message before it is acknowledged; 2.9 knows no such setting, and syncs by time only. */
export function syncsEachMessage(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 10);
}

/** `directory`: for its files. `isSynced`: of all its streams; a server that cannot do it refuses to start. */
export function configurationOf(port: number, directory: string, isSynced: boolean): string {
  const store = JSON.stringify(path.join(directory, "data"));
  const sync = isSynced ? "sync_interval: always, " : "";
  return [
    `listen: "127.0.0.1:${port}"`,
    `max_payload: ${natsPayloadBytesMax}`,
    `max_pending: ${4 * natsPayloadBytesMax}`,
    `jetstream { ${sync}store_dir: ${store}, max_file_store: 64GB, max_memory_store: 4GB }`,
    "",
  ].join("\n");
}

export class NatsServer {
  readonly #process: PeerProcess;
  readonly address: string;
  readonly version: string;

  private constructor(process: PeerProcess, address: string, version: string) {
    this.#process = process;
    this.address = address;
    this.version = version;
  }

  get pid(): number {
    return this.#process.pid;
  }

  static async start(directory: string, isSynced: boolean): Promise<NatsServer> {
    const program = findProgram();
    const port = await freePort();
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, "server.conf");
    writeFileSync(file, configurationOf(port, directory, isSynced));
    const version =
      /\d+\.\d+\.\d+/.exec(spawnSync(program, ["--version"], { encoding: "utf8" }).stdout)?.[0] ?? "0.0.0";
    const server = new PeerProcess("the NATS server", program, ["--config", file]);
    try {
      await server.listening(port);
    } catch (error) {
      await server.end();
      throw error;
    }
    return new NatsServer(server, `127.0.0.1:${port}`, version);
  }

  async end(): Promise<void> {
    await this.#process.end();
  }
}
