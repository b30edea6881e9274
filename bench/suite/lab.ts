/**
 * Two hosts on this machine, as the tests have them: network namespaces of test/lab/hosts.sh. Servers are on the first
 * one, all clients on the second. Needs root, iproute2, nftables and MPICH; without them the scenario is named as missing.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { Scenario } from "./scenario.js";
import type { Launcher } from "./world.js";

/** From build/ts/bench/suite, where this runs. */
const inRoot = (name: string): string => fileURLToPath(new URL(`../../../../${name}`, import.meta.url));
const script = inRoot("test/lab/hosts.sh");

export class Lab {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    this.#run("up", "2");
  }

  /** How ranks are launched over both hosts. */
  launcher({ servers, producers, consumers }: Scenario): Launcher {
    const [first, second] = [this.#run("address", "h1"), this.#run("address", "h2")];
    const hosts = `${first}:${servers},${second}:${producers + consumers}`;
    return {
      program: script,
      args: [
        ...["launch", "ctl", inRoot("launch/mpiexec.sh")],
        ...["-launcher", "ssh", "-launcher-exec", path.join(this.#directory, "launch")],
        ...["-localhost", this.#run("address", "ctl"), "-hosts", hosts],
      ],
      environment: { LAB_DIR: this.#directory, WEFTLINE_MPI: "mpich" },
    };
  }

  down(): void {
    this.#run("down");
  }

  #run(...args: string[]): string {
    const env = { ...process.env, LAB_DIR: this.#directory };
    const { status, stdout, stderr } = spawnSync(script, args, { env, encoding: "utf8", timeout: 60_000 });
    if (status !== 0) throw new Error(`no two hosts here: ${stderr.trim()}`);
    return stdout.trim();
  }
}
