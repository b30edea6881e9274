// weftline serve: hosts a server slot until it is stopped. Its log goes to stderr.

import type { Command } from "commander";
import { WeftError } from "../../errors.js";
import { serve, type Log, type LogLevel, type ServeOptions } from "../../control/index.js";
import type { Configuration } from "../../config/load.js";
import { type GlobalOptions, isLaunched, loadFor } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";

interface ServeFlags extends GlobalOptions {
  data?: string;
  memory?: boolean;
  group?: string;
  slot?: string;
  threads?: string;
  slabBytes?: string;
  drain?: string;
  until?: string;
  hold?: string;
  forceLock?: boolean;
  timeout?: string;
  transports?: string;
  bind?: string;
  verbose?: boolean;
}

const LEVEL_ORDER: readonly LogLevel[] = ["debug", "info", "warning", "error"];

/** Log lines on stderr: words, or one JSON object a line with --json. */
export function logTo(terminal: Terminal, lowest: LogLevel, now: () => Date = () => new Date()): Log {
  return (level, text) => {
    if (LEVEL_ORDER.indexOf(level) < LEVEL_ORDER.indexOf(lowest)) return;
    const time = now().toISOString();
    terminal.say(terminal.json ? JSON.stringify({ time, level, text }) : `${time} ${level.padEnd(7)} ${text}`);
  };
}

export function serveConfiguration(terminal: Terminal, flags: ServeFlags): Configuration {
  return loadFor(terminal, flags, {
    "server.data": { value: flags.data, flag: "--data" },
    "server.group": { value: flags.group, flag: "--group" },
    "server.slot": { value: flags.slot, flag: "--slot" },
    "server.threads": { value: flags.threads, flag: "--threads" },
    "server.slabBytes": { value: flags.slabBytes, flag: "--slab-bytes" },
    "server.drainMs": { value: flags.drain, flag: "--drain" },
    "server.until": { value: flags.until, flag: "--until" },
    "server.forceLock": { value: flags.forceLock, flag: "--force-lock" },
    "client.timeoutMs": { value: flags.timeout, flag: "--timeout" },
    "network.transports": { value: flags.transports, flag: "--transports" },
    "network.bind": { value: flags.bind, flag: "--bind" },
  });
}

export function serveOptions(configuration: Configuration, flags: ServeFlags, log: Log): ServeOptions {
  if (flags.memory === true && flags.data !== undefined) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", "--memory and --data exclude each other", {
      next: "give one of them",
    });
  }
  return {
    data: flags.memory === true ? undefined : (configuration.text("server.data") ?? "weft"),
    group: configuration.text("server.group"),
    slot: configuration.number("server.slot"),
    threads: configuration.numberIfSet("server.threads"),
    slabBytes: configuration.numberIfSet("server.slabBytes"),
    dataBytesInFlight: configuration.numberIfSet("limits.dataBytesInFlight"),
    forceLock: configuration.boolean("server.forceLock"),
    transports: configuration.text("network.transports"),
    bind: configuration.text("network.bind"),
    timeoutMs: configuration.numberIfSet("client.timeoutMs"),
    drainMs: configuration.number("server.drainMs"),
    until: configuration.text("server.until") === "clients-gone" ? "clients-gone" : "stopped",
    hold: flags.hold,
    topics: configuration.topics,
    log,
  };
}

async function run(terminal: Terminal, flags: ServeFlags): Promise<number> {
  const configuration = serveConfiguration(terminal, flags);
  const log = logTo(terminal, flags.verbose === true ? "debug" : "info");
  const server = await serve(serveOptions(configuration, flags, log));
  const { slot, slotEpoch, group, data } = server.facts();
  if (terminal.json) {
    await terminal.writeJson({ slot, slotEpoch, group, data: data ?? null, pid: process.pid });
  } else if (!isLaunched(terminal.streams.environment)) {
    terminal.say(`clients find this server through --group ${group}, or WEFTLINE_GROUP=${group}`);
  }
  await server.closed;
  log("info", `slot ${slot} ended`);
  return EXIT.ok;
}

export function addServe(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  program
    .command("serve")
    .summary("host a server slot until it is stopped")
    .description(
      "Hosts a server slot: alone, as a rank of an MPI launch, or, with --slot and --group, in place of a slot of a running job that was lost.",
    )
    .option("--data <directory>", "data directory (default: ./weft)")
    .option("--memory", "no data directory: topics in memory only, gone at the end")
    .option("--group <directory>", "group directory (default: group in the data directory of slot 0)")
    .option("--slot <number>", "number of the slot (default: what the data directory has on record)")
    .option("--threads <number>", "native log writers and readers (default: 4)")
    .option("--slab-bytes <size>", "registered memory for transfers (default: 64 MiB)")
    .option("--drain <time>", "how long a drain may take (default: 30s)")
    .option("--until <event>", "stopped, or clients-gone: end once there were clients and are none any more")
    .option("--hold <file>", "with clients-gone: not as long as this file is there, for clients are still to come")
    .option("--force-lock", "use a data directory on a file system without locks")
    .option("--timeout <time>", "for meeting the other ranks (default: 30s)")
    .option("--transports <list>", 'fabric providers to use, such as "tcp,shm"')
    .option("--bind <address>", "numeric address of the interface to use")
    .option("-v, --verbose", "also log what is only of interest when something is wrong")
    .addHelpText(
      "after",
      `
Examples:
  weftline serve --data ./weft &                    a world of one is enough to try it
  weftline serve --slot 2 --group /scratch/me/group start a lost slot of a running job again
  mpiexec -n 1 weftline serve : -n 64 ./solver      beside the ranks of a simulation

SIGTERM and SIGINT drain the server; a second one, a second or more later, ends it at once.`,
    )
    .action(async (_options: unknown, command: Command) => {
      done(await run(terminal, command.optsWithGlobals<ServeFlags>()));
    });
}
