// /dev/shm: MPI libraries and libfabric's shm keep files there; the transport "shm" needs none. Looks, removes nothing.

import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { type Finding, note, ok } from "./finding.js";
import type { Host } from "./host.js";

const FOLDER = "/dev/shm";
/** libfabric's shm takes 16 MiB for each endpoint, MPI libraries some for each rank. */
const FREE_BYTES_WANTED = 256 * 1024 ** 2;
/** Files of libfabric's shm begin with the process's id; ours say it in hexadecimal behind the pid namespace. */
const NAMES = [/^(?<pid>\d+):\d+:\d+/, /^weftline-[0-9a-f]+-(?<hexadecimal>[0-9a-f]+)-/];

/** The id of the process that made a file of this name; undefined: of another program. */
export function makerOf(name: string): number | undefined {
  for (const pattern of NAMES) {
    const groups = pattern.exec(name)?.groups;
    if (groups?.["pid"] !== undefined) return Number(groups["pid"]);
    if (groups?.["hexadecimal"] !== undefined) return Number.parseInt(groups["hexadecimal"], 16);
  }
  return undefined;
}

function isMine(name: string): boolean {
  try {
    return statSync(`${FOLDER}/${name}`).uid === process.getuid?.();
  } catch {
    return false; // gone meanwhile
  }
}

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2).toLocaleString("en-US")} MiB`;

export function checkSharedMemory(host: Host): Finding[] {
  const area = FOLDER;
  const remedy = "in a container: --ipc=host, or --shm-size=1g";
  try {
    accessSync(FOLDER, constants.W_OK);
  } catch {
    return [note(area, "is missing or may not be written; MPI libraries may need it", remedy)];
  }
  const { bsize, blocks, bavail } = statfsSync(FOLDER);
  const [size, free] = [blocks * bsize, bavail * bsize];
  const text = `${mebibytes(size)}, ${mebibytes(free)} free`;
  const findings = [
    free < FREE_BYTES_WANTED ? note(area, `${text}: little for MPI libraries`, remedy) : ok(area, text),
  ];
  const alive = new Set(host.list("/proc"));
  const left = host.list(FOLDER).filter((name) => {
    const maker = makerOf(name);
    return maker !== undefined && !alive.has(String(maker)) && isMine(name);
  });
  if (left.length > 0) {
    findings.push(
      note(
        area,
        `${left.length} files of processes that are not here any more: ${left.slice(0, 3).join(", ")}${left.length > 3 ? ", …" : ""}`,
        "rm them, unless another container shares /dev/shm",
      ),
    );
  }
  return findings;
}
