// The directory that a server would keep its data in: its file system, whether it can be written and locked, how fast a
// small write and a sync are, how much room there is. Everything happens in a folder of its own that is removed again.

import { existsSync, statfsSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isWeftError } from "../../errors.js";
import type { NativeBinding } from "../../native/binding.js";
import { humanBytes } from "../terminal.js";
import { bad, type Finding, note, ok } from "./finding.js";
import type { Host } from "./host.js";

const WRITE_BYTES = 4096;
const WRITES = 20;
const GIBIBYTE = 1024 ** 3;
const FREE_BYTES_NEEDED = 64 * 1024 ** 2;
const SYNC_US_WANTED = 20_000;
const AREA = "data";

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** The mount that holds a path, of the text of /proc/self/mountinfo. */
export function mountOf(mountinfo: string, path: string): Mount | undefined {
  let found: Mount | undefined;
  for (const line of mountinfo.split("\n")) {
    const [front = "", back = ""] = line.split(" - ");
    const point = (front.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    if (point === "" || (path !== point && !path.startsWith(point === "/" ? "/" : `${point}/`))) continue;
    // Of several at one point the last one is on top.
    if (found === undefined || point.length >= found.point.length) found = { point, type: back.split(" ")[0] ?? "?" };
  }
  return found;
}

/** The directory itself, or what is there of it. */
function existing(path: string): string {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function fileSystem(host: Host, folder: string): Finding {
  const mount = mountOf(host.read("/proc/self/mountinfo") ?? "", folder);
  const text = `${folder} on ${mount === undefined ? "an unknown file system" : `${mount.type} (${mount.point})`}`;
  if (mount?.type === "tmpfs" || mount?.type === "ramfs") {
    return note(
      AREA,
      `${text}: in memory, gone with the node`,
      "give --data on a disk, or stage out before the job ends",
    );
  }
  if (mount !== undefined && /^(nfs|9p|fuse|cifs)/.test(mount.type)) {
    return note(AREA, `${text}: over the network, syncs are slow`, "give --data on a disk of the node, and stage out");
  }
  return ok(AREA, text);
}

function room(folder: string): Finding {
  const { bsize, bavail } = statfsSync(folder);
  const free = bavail * bsize;
  const text = `${humanBytes(free)} free`;
  const remedy = "make room, or give --data elsewhere; a full disk is an error to producers";
  if (free < FREE_BYTES_NEEDED) return bad(AREA, text, remedy);
  return free < GIBIBYTE ? note(AREA, text, remedy) : ok(AREA, text);
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

async function speed(folder: string): Promise<Finding> {
  const file = await open(join(folder, "write"), "w");
  const [writes, syncs]: [number[], number[]] = [[], []];
  try {
    const bytes = Buffer.alloc(WRITE_BYTES, 1);
    for (let index = 0; index < WRITES; index++) {
      const begun = performance.now();
      await file.write(bytes);
      const written = performance.now();
      await file.datasync();
      writes.push((written - begun) * 1000);
      syncs.push((performance.now() - written) * 1000);
    }
  } finally {
    await file.close();
  }
  const sync = median(syncs);
  const text = `4 KiB written in ${median(writes).toFixed(0)} us, synced in ${sync.toFixed(0)} us (median of ${WRITES})`;
  if (sync < SYNC_US_WANTED) return ok(AREA, text);
  return note(AREA, `${text}: topics that are "synced" will be slow`, 'use durability "written", or a faster device');
}

async function locks(binding: NativeBinding, folder: string): Promise<Finding> {
  try {
    await binding.lockCheck(join(folder, "data"));
    return ok(AREA, "locks work");
  } catch (error) {
    if (!isWeftError(error)) throw error;
    return bad(AREA, `no locks: ${error.message}`, error.next || "give --data on a file system with locks");
  }
}

/** `path`: as the server would be given it; it is not made. */
export async function checkDataDirectory(host: Host, binding: NativeBinding, path: string): Promise<Finding[]> {
  const folder = existing(resolve(path));
  const findings = [fileSystem(host, folder)];
  let own: string;
  try {
    own = await mkdtemp(join(folder, ".weftline-doctor-"));
  } catch (error) {
    const cause = (error as NodeJS.ErrnoException).code ?? String(error);
    const remedy =
      "give --data or WEFTLINE_DATA a directory that you may write, such as the node's disk or your scratch";
    return [...findings, bad(AREA, `${resolve(path)} cannot be written: ${cause} in ${folder}`, remedy)];
  }
  try {
    findings.push(room(folder), await speed(own), await locks(binding, own));
  } catch (error) {
    findings.push(
      bad(
        AREA,
        `writing in ${folder} failed: ${(error as Error).message}`,
        "look at the disk's room and quota, or give --data elsewhere",
      ),
    );
  } finally {
    await rm(own, { recursive: true, force: true });
  }
  return findings;
}
