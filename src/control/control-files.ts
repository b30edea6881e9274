// The seam to the file system for the control plane's own small files (catalogue, partition.json). The real one is
// here; tests give one that tears, fails and forgets what was not synced. Every failure is a WeftError naming the path.

import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import { dirname, join } from "node:path";
import { WeftError } from "../errors.js";

/** An open file that is only appended to and cut. */
export interface AppendFile {
  append(bytes: Uint8Array): Promise<void>;
  /** fdatasync. After a failure nothing is known about the file's last bytes. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface ControlFiles {
  /** undefined: there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Opens for appending, makes the file if need be. */
  openForAppend(path: string): Promise<AppendFile>;
  rename(from: string, to: string): Promise<void>;
  /** A file that is not there is fine. */
  remove(path: string): Promise<void>;
  /** With everything in it; a directory that is not there is fine. */
  removeDirectory(path: string): Promise<void>;
  /** Only if it is empty; otherwise nothing happens. */
  removeEmptyDirectory(path: string): Promise<void>;
  /** With its parents, each new one made durable in its own parent. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory in order; none if it is not there. */
  list(path: string): Promise<string[]>;
  syncDirectory(path: string): Promise<void>;
  link(target: string, path: string): Promise<void>;
}

/** What a failed system call on a file is in Weftline's codes. */
export function fileError(what: string, path: string, cause: unknown): WeftError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = cause instanceof Error ? cause.message : String(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new WeftError("WEFT_NO_SPACE", `cannot ${what} ${path}: the device is full; make room`, { cause });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new WeftError(
      "WEFT_NOT_WRITABLE",
      `cannot ${what} ${path}: ${why}; correct its permissions or use another directory`,
      { cause },
    );
  }
  return new WeftError("WEFT_IO", `cannot ${what} ${path}: ${why}; look at the device`, { cause });
}

async function attempt<T>(what: string, path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw error instanceof WeftError ? error : fileError(what, path, error);
  }
}

/** ENOTDIR: where a directory would have to be there is a file, so that below it there is nothing. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

/**
 * Makes a directory and those above it; those that it made, the outermost last. Not Node's recursive mkdir: where mkdir says ENOENT
 * although the directory above is there, as below /proc, that never comes back (Node 20.20).
 */
async function makeMissing(path: string): Promise<string[]> {
  try {
    await fs.mkdir(path, { mode: 0o700 });
    return [path];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && (await fs.stat(path)).isDirectory()) return [];
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const above = await makeMissing(dirname(path));
  try {
    await fs.mkdir(path, { mode: 0o700 });
  } catch (error) {
    // Somebody else's.
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && (await fs.stat(path)).isDirectory()) return above;
    throw error;
  }
  return [path, ...above];
}

class RealAppendFile implements AppendFile {
  constructor(
    private readonly path: string,
    private readonly handle: fs.FileHandle,
  ) {}

  async append(bytes: Uint8Array): Promise<void> {
    await attempt("write to", this.path, async () => {
      // One write per record, so that a crash of the process alone leaves whole records; a short write goes on.
      for (let at = 0; at < bytes.length;) at += (await this.handle.write(bytes, at)).bytesWritten;
    });
  }

  async sync(): Promise<void> {
    try {
      await this.handle.datasync();
    } catch (error) {
      throw new WeftError(
        "WEFT_SYNC_FAILED",
        `fdatasync of ${this.path} failed: ${String(error)}; look at the device, then start the server again`,
        { cause: error },
      );
    }
  }

  async truncate(length: number): Promise<void> {
    await attempt("cut", this.path, () => this.handle.truncate(length));
  }

  async close(): Promise<void> {
    await attempt("close", this.path, () => this.handle.close());
  }
}

export const realControlFiles: ControlFiles = {
  async read(path) {
    return attempt("read", path, async () => {
      try {
        return await fs.readFile(path);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  },
  async openForAppend(path) {
    return attempt("open", path, async () => new RealAppendFile(path, await fs.open(path, "a", 0o600)));
  },
  async rename(from, to) {
    await attempt("rename to", to, () => fs.rename(from, to));
  },
  async remove(path) {
    await attempt("delete", path, () => fs.rm(path, { force: true }));
  },
  async removeDirectory(path) {
    await attempt("delete", path, () => fs.rm(path, { recursive: true, force: true }));
  },
  async removeEmptyDirectory(path) {
    await attempt("delete", path, async () => {
      try {
        await fs.rmdir(path);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code !== "ENOTEMPTY" && code !== "EEXIST" && !isMissing(error)) throw error;
      }
    });
  },
  async makeDirectory(path) {
    await attempt("make", path, async () => {
      for (const made of await makeMissing(path)) await realControlFiles.syncDirectory(dirname(made));
    });
  },
  async list(path) {
    return attempt("list", path, async () => {
      try {
        return (await fs.readdir(path)).sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    });
  },
  async syncDirectory(path) {
    await attempt("sync", path, async () => {
      const handle = await fs.open(path, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  },
  async link(target, path) {
    await attempt("link", path, async () => {
      const temporary = join(dirname(path), `.${randomUUID()}`);
      await fs.symlink(target, temporary);
      await fs.rename(temporary, path);
    });
  },
};

/** Writes and syncs `<path>.new`; nothing is changed at `path` yet. */
export async function prepareFile(files: ControlFiles, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  await files.remove(temporary);
  const file = await files.openForAppend(temporary);
  try {
    await file.append(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts what `prepareFile` wrote in the place of `path`, durably. */
export async function commitFile(files: ControlFiles, path: string): Promise<void> {
  await files.rename(`${path}.new`, path);
  await files.syncDirectory(dirname(path));
}

/** Writes a whole file so that a reader sees the old or the new one, and a crash leaves one of them. */
export async function replaceFile(files: ControlFiles, path: string, bytes: Uint8Array): Promise<void> {
  await prepareFile(files, path, bytes);
  await commitFile(files, path);
}
