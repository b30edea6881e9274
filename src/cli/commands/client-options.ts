// The options of every command that talks to a job.

import type { Command } from "commander";

export function addClientOptions(command: Command): Command {
  return command
    .option("-g, --group <directory>", "group directory of the job (default: WEFTLINE_GROUP, else ./weft/group)")
    .option("--timeout <time>", "for connecting and for each request (default: 30s)")
    .option("--transports <list>", 'fabric providers to use, such as "tcp,shm"')
    .option("--bind <address>", "numeric address of the interface to use");
}
