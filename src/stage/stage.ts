// `weftline stage`: the data directory of a server to a place that outlives the node, and back. The copy is made beside its
// destination, in DIRECTORY.partial, and renamed when every file was verified and the manifest is there; so a directory of
// that name is whole, and an interrupted copy is gone on with. Only directories that no server uses are staged whole: all
// their segments are closed then. What is still being written, of a server that runs, is left out with `sealedOnly`.

import { mkdir, open, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileError } from "../control/control-files.js";
import { WeftError } from "../errors.js";
import { liveOwnerOf, thisMachine } from "../launch/group-files.js";
import { native } from "../native/addon.js";
import { copyVerified, sha256Of } from "./copy.js";
import { MANIFEST, type Manifest, readManifest, type StagedFile } from "./manifest.js";

/** Of a process that runs, and found anew by the next: not data. */
const LEFT_OUT = new Set(["lock", "group", MANIFEST]);
const JOURNAL = "staged.ndjson";

export interface StageOptions {
  /** Only what no server writes any more: works beside one that runs, and leaves the copy incomplete. */
  readonly sealedOnly?: boolean;
  /** Called after each file. */
  readonly progress?: (file: StagedFile, copied: boolean) => void;
  readonly signal?: AbortSignal;
}

export interface Staged {
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  /** Files that were copied now; the others were there already. */
  readonly copied: number;
  /** undefined for a copy of sealed segments alone. */
  readonly events: number | undefined;
  readonly complete: boolean;
}

async function slotOf(data: string): Promise<number> {
  const path = join(data, "weftline.format");
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `${data} is not a data directory: there is no ${path}`, {
      cause,
      next: "give the directory that the server was started with",
    });
  });
  const slot = /, slot (\d+)/.exec(text)?.[1];
  if (slot === undefined) throw new WeftError("WEFT_CORRUPT", `${path} is not what Weftline writes`);
  return Number(slot);
}

interface Found {
  readonly files: string[];
  readonly links: Record<string, string>;
}

/** All files below, through links to folders of partitions that lie elsewhere. */
async function findFiles(root: string): Promise<Found> {
  const found: Found = { files: [], links: {} };
  const visit = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      // `lock` of the directory, and of each partition's folders.
      if (LEFT_OUT.has(path) || entry.name === "lock" || entry.name.endsWith(".new")) continue;
      if (entry.isSymbolicLink()) found.links[path] = await readlink(join(root, path));
      if (entry.isDirectory() || (entry.isSymbolicLink() && (await stat(join(root, path))).isDirectory())) {
        await visit(path);
      } else if (entry.isFile()) found.files.push(path);
    }
  };
  await visit("");
  found.files.sort();
  return found;
}

/** Segments that are not the last of their folder, with the catalogue and what names the partitions. */
function sealedOf(files: readonly string[]): string[] {
  const last = new Map<string, string>();
  for (const path of files) {
    if (/\.(meta|data)$/.test(path)) last.set(dirname(path), path); // names sort as numbers
  }
  return files.filter((path) => {
    if (/\.(meta|data)$/.test(path)) return last.get(dirname(path)) !== path;
    if (path.endsWith(".index")) return last.get(dirname(path)) !== path.replace(/\.index$/, ".meta");
    return false;
  });
}

async function syncDirectory(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { flush: true });
  await rename(`${path}.new`, path);
  await syncDirectory(dirname(path));
}

/** What an interrupted copy had done. */
async function readJournal(partial: string): Promise<Map<string, StagedFile>> {
  const known = new Map<string, StagedFile>();
  const text = await readFile(join(partial, JOURNAL), "utf8").catch(() => "");
  for (const line of text.split("\n")) {
    try {
      const file = JSON.parse(line) as StagedFile;
      known.set(file.path, file);
    } catch {
      // Empty, or torn by the interruption.
    }
  }
  return known;
}

async function copyAll(
  from: string,
  partial: string,
  wanted: readonly { path: string; known: StagedFile | undefined }[],
  mustMatch: boolean,
  options: StageOptions,
): Promise<{ files: StagedFile[]; copied: number }> {
  await mkdir(partial, { recursive: true }).catch((error: unknown) => {
    throw fileError("make", partial, error);
  });
  const journal = await open(join(partial, JOURNAL), "a");
  const files: StagedFile[] = [];
  let copiedCount = 0;
  try {
    for (const { path, known } of wanted) {
      options.signal?.throwIfAborted();
      const { file, copied } = await copyVerified(from, partial, path, known, mustMatch);
      files.push(file);
      if (copied) {
        copiedCount++;
        await journal.appendFile(`${JSON.stringify(file)}\n`);
      }
      options.progress?.(file, copied);
    }
  } finally {
    await journal.close();
  }
  return { files, copied: copiedCount };
}

/** Every stored byte against its checksum. WEFT_CORRUPT, naming the first partition that is damaged. */
async function verifyLog(data: string): Promise<number> {
  let events = 0;
  let damage: string | undefined;
  await native().logVerify(data, (json) => {
    const report = JSON.parse(json) as { partition: string; events: number; ok: boolean; damage?: string };
    events += report.events;
    if (!report.ok) damage ??= `partition ${report.partition}: ${report.damage ?? "damaged"}`;
  });
  if (damage === undefined) return events;
  throw new WeftError("WEFT_CORRUPT", `the staged copy ${data} is a faithful one of damaged data: ${damage}`, {
    next: "see `weftline log verify` on the original; the copy is kept",
  });
}

const sum = (files: readonly StagedFile[]): number => files.reduce((bytes, file) => bytes + file.bytes, 0);

/** The data directory to `to`, which must not be there, or be the outcome of the same. */
export async function stageOut(data: string, to: string, options: StageOptions = {}): Promise<Staged> {
  const slot = await slotOf(data);
  if (options.sealedOnly !== true) refuseInUse(data);
  const found = await findFiles(data);
  if (existsSync(to)) return await sameAsBefore(data, to, slot, found);
  const partial = `${to}.partial`;
  const known = await readJournal(partial);
  const chosen = options.sealedOnly === true ? sealedOf(found.files) : found.files;
  const wanted = chosen.map((path) => ({ path, known: known.get(path) }));
  const { files, copied } = await copyAll(data, partial, wanted, false, options);
  const done = { files: files.length, bytes: sum(files), copied };
  if (options.sealedOnly === true) return { directory: partial, ...done, events: undefined, complete: false };
  await removeOthers(partial, new Set(chosen));
  const events = await verifyLog(partial);
  const manifest: Manifest = {
    format: "weftline-staged-data",
    version: 1,
    stagedAt: new Date().toISOString(),
    source: resolve(data),
    slot,
    files,
    links: found.links,
  };
  await writeSynced(join(partial, MANIFEST), `${JSON.stringify(manifest, undefined, 1)}\n`);
  await finish(partial, to);
  return { directory: to, ...done, events, complete: true };
}

function refuseInUse(data: string): void {
  const owner = liveOwnerOf(data, thisMachine());
  if (owner === undefined) return;
  throw new WeftError("WEFT_DATA_DIRECTORY_LOCKED", `${data} is served by process ${owner.pid} on ${owner.host}`, {
    next: "end that server first (weftline stop); --sealed copies what it does not write any more",
  });
}

/** The outcome of an earlier, complete copy of the same; anything else there is not touched. */
async function sameAsBefore(data: string, to: string, slot: number, found: Found): Promise<Staged> {
  const manifest = readManifest(to);
  const { files } = manifest;
  const refuse = (what: string): WeftError =>
    new WeftError("WEFT_INVALID_ARGUMENT", `${to} ${what}`, { next: "give a directory that is not there yet" });
  if (manifest.slot !== slot || manifest.source !== resolve(data)) {
    throw refuse(`holds the data of slot ${manifest.slot} from ${manifest.source}`);
  }
  // Equal sizes say nothing: another run may have left files of the same. Both sides are read, as in every copy.
  const known = new Map(files.map((file) => [file.path, file]));
  if (found.files.length !== files.length) throw refuse(`is an earlier copy of ${data}, which has changed`);
  for (const path of found.files) {
    const file = known.get(path);
    if (file?.sha256 !== (await sha256Of(join(data, path)))) {
      throw refuse(`is an earlier copy of ${data}, which has changed`);
    }
    if (file.sha256 !== (await sha256Of(join(to, path)))) {
      throw new WeftError(
        "WEFT_CORRUPT",
        `${join(to, path)} is not what was staged: its SHA-256 is not the manifest's`,
        {
          next: "move the copy away, and stage again",
        },
      );
    }
  }
  return { directory: to, files: files.length, bytes: sum(files), copied: 0, events: undefined, complete: true };
}

/** Segments that retention has removed since they were copied. */
async function removeOthers(partial: string, wanted: ReadonlySet<string>): Promise<void> {
  for (const path of (await findFiles(partial)).files) {
    if (!wanted.has(path) && path !== JOURNAL) await rm(join(partial, path), { force: true });
  }
}

async function finish(partial: string, to: string): Promise<void> {
  await rm(join(partial, JOURNAL), { force: true });
  await syncDirectory(partial);
  await rename(partial, to).catch((error: unknown) => {
    throw fileError(`rename ${partial} to`, to, error);
  });
  await syncDirectory(dirname(resolve(to)));
}

/** Whether nobody has stored anything there. */
async function isEmpty(data: string): Promise<boolean> {
  if (!existsSync(data)) return true;
  const names = await readdir(data);
  return names.every((name) => LEFT_OUT.has(name));
}

/** What `stageOut` wrote to a data directory, which must not be there or be empty. */
export async function stageIn(
  from: string,
  data: string,
  options: StageOptions & { readonly ifEmpty?: boolean } = {},
): Promise<Staged> {
  const manifest = readManifest(from);
  const bytes = sum(manifest.files);
  const partial = `${data}.partial`;
  if (!(await isEmpty(data))) {
    if (options.ifEmpty === true) {
      return { directory: data, files: manifest.files.length, bytes, copied: 0, events: undefined, complete: true };
    }
    throw new WeftError("WEFT_INVALID_ARGUMENT", `${data} is not empty`, {
      next: "give a directory that is not there yet, or --if-empty to leave what is there",
    });
  }
  const wanted = manifest.files.map((known) => ({ path: known.path, known }));
  const { files, copied } = await copyAll(from, partial, wanted, true, options);
  await restoreLinks(partial, manifest);
  const events = await verifyLog(partial);
  await rm(data, { recursive: true, force: true });
  await finish(partial, data);
  return { directory: data, files: files.length, bytes, copied, events, complete: true };
}

/** Folders that lay elsewhere go there again; one that is there already is not touched. */
async function restoreLinks(partial: string, { links }: Manifest): Promise<void> {
  for (const [path, target] of Object.entries(links)) {
    const place = resolve(join(partial, dirname(path)), target);
    const staged = join(partial, path);
    if (existsSync(place) && (await readdir(place)).length > 0) {
      throw new WeftError("WEFT_INVALID_ARGUMENT", `${place}, where ${path} of the staged data belongs, is not empty`, {
        next: "move it away",
      });
    }
    await mkdir(place, { recursive: true });
    for (const file of (await findFiles(staged)).files) {
      await copyVerified(staged, place, file, undefined, false);
    }
    await rm(staged, { recursive: true });
    await symlink(target, staged);
  }
}
