// What every command needs: the resolved configuration, and the job it talks to.

import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { join as joinPath } from "node:path";
import { type Configuration, loadConfiguration, type LoadOptions } from "../config/load.js";
import { isWeftError, WeftError } from "../errors.js";
import { attach, join, type Job } from "../job/job.js";
import type { Terminal } from "./terminal.js";

/** Options of the command line that all commands share, as commander gives them. */
export interface GlobalOptions {
  json?: boolean;
  config?: string;
}

export interface ClientOptions extends GlobalOptions {
  group?: string;
  timeout?: string;
  transports?: string;
  bind?: string;
}

export function loadFor(terminal: Terminal, options: GlobalOptions, flags: LoadOptions["flags"] = {}): Configuration {
  const { environment, directory } = terminal.streams;
  return loadConfiguration({ environment, directory, file: options.config, flags });
}

export function clientConfiguration(terminal: Terminal, options: ClientOptions): Configuration {
  return loadFor(terminal, options, {
    "client.group": { value: options.group, flag: "--group" },
    "client.timeoutMs": { value: options.timeout, flag: "--timeout" },
    "network.transports": { value: options.transports, flag: "--transports" },
    "network.bind": { value: options.bind, flag: "--bind" },
  });
}

/** Where a server started here with the default data directory puts its group. */
export const LOCAL_GROUP = joinPath("weft", "group");
const SERVER_LOOK_MS = 50;
const STARTING = ["WEFT_GROUP_MISSING", "WEFT_GROUP_STALE"] as const;
const LAUNCHER_VARIABLES = ["PMI_RANK", "PMI_FD", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"];

export function isLaunched(environment: Readonly<Record<string, string | undefined>>): boolean {
  return LAUNCHER_VARIABLES.some((name) => environment[name] !== undefined);
}

/**
 * The job: inside an MPI launch (and without --group) that of the launch, else the one of the group directory, which is
 * ./weft/group if nothing else is said.
 */
export async function openJob(
  terminal: Terminal,
  options: ClientOptions,
  name: string,
  signal?: AbortSignal,
): Promise<Job> {
  const configuration = clientConfiguration(terminal, options);
  const common = {
    name,
    transports: configuration.text("network.transports"),
    bind: configuration.text("network.bind"),
    timeoutMs: configuration.numberIfSet("client.timeoutMs"),
    deliveryTimeoutMs: configuration.numberIfSet("client.deliveryTimeoutMs"),
    signal,
  };
  const { environment, directory } = terminal.streams;
  if (options.group === undefined && isLaunched(environment)) return await join(common);
  const named = configuration.text("client.group");
  const group = named ?? joinPath(directory, LOCAL_GROUP);
  // `weftline serve &` in the line before takes a moment until it can be found.
  for (
    const deadline = Date.now() + (configuration.number("client.serverWaitMs") ?? 0);
    ;
    await pause(SERVER_LOOK_MS, undefined, { signal })
  ) {
    const late = Date.now() >= deadline;
    if (named === undefined && !existsSync(group)) {
      if (!late) continue;
      throw new WeftError("WEFT_GROUP_MISSING", `no job is named, and there is no ./${LOCAL_GROUP} in ${directory}`, {
        next: "start `weftline serve` here, or give --group DIRECTORY or WEFTLINE_GROUP",
      });
    }
    try {
      return await attach(group, common);
    } catch (error) {
      if (late || !STARTING.some((code) => isWeftError(error, code))) throw error;
    }
  }
}
