// Copies files so that what arrives is what was read: a hash while it is written, synced, and the same hash of what is read
// back. A file that is there already with the right size and hash is left alone, so that a copy can be gone on with.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileError } from "../control/control-files.js";
import { WeftError } from "../errors.js";
import type { StagedFile } from "./manifest.js";

const PIECE_BYTES = 4 * 1024 * 1024;

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) hash.update(piece as Buffer);
  } catch (error) {
    throw fileError("read", path, error);
  }
  return hash.digest("hex");
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.length;) at += (await file.write(piece, at)).bytesWritten;
}

async function copyHashed(from: string, to: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  await mkdir(dirname(to), { recursive: true }).catch((error: unknown) => {
    throw fileError("make", dirname(to), error);
  });
  const file = await open(to, "w").catch((error: unknown) => {
    throw fileError("write", to, error);
  });
  try {
    for await (const piece of createReadStream(from, { highWaterMark: PIECE_BYTES })) {
      hash.update(piece as Buffer);
      bytes += (piece as Buffer).length;
      await writeAll(file, piece as Buffer);
    }
    await file.sync();
  } catch (error) {
    throw fileError(`copy ${from} to`, to, error);
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest("hex") };
}

/**
 * One file from a folder to another. `known`: what it must be, or what an earlier copy of it was. WEFT_CORRUPT: it is not
 * what the manifest says, or what was written does not read back the same.
 */
export async function copyVerified(
  from: string,
  to: string,
  path: string,
  known: StagedFile | undefined,
  mustMatch: boolean,
): Promise<{ file: StagedFile; copied: boolean }> {
  const [source, target] = [join(from, path), join(to, path)];
  const size = await sizeOf(source);
  if (known !== undefined && known.bytes === size && known.bytes === (await sizeOf(target))) {
    // Both are read: the source may have changed since, and the target may be a torn copy.
    const [wanted, there] = [mustMatch ? known.sha256 : await sha256Of(source), await sha256Of(target)];
    if (wanted === there && there === known.sha256) return { file: known, copied: false };
  }
  const { bytes, sha256 } = await copyHashed(source, target);
  if (mustMatch && known !== undefined && (bytes !== known.bytes || sha256 !== known.sha256)) {
    throw new WeftError(
      "WEFT_CORRUPT",
      `${source} is not what was staged: its SHA-256 is ${sha256}, not ${known.sha256}`,
      {
        next: "take another copy of the staged data",
      },
    );
  }
  const readBack = await sha256Of(target);
  if (readBack !== sha256) {
    throw new WeftError("WEFT_CORRUPT", `${target} does not read back as it was written`, {
      next: "look at its device, then stage again",
    });
  }
  return { file: { path, bytes, sha256 }, copied: true };
}
