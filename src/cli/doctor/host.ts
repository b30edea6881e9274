// What the checks read of the host: files of /proc and /sys, folders, the environment. Handed in, so that tests can give
// them the files of other machines.

import { readdirSync, readFileSync } from "node:fs";

export interface Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A file's text without the white space at its ends; undefined where there is none or it may not be read. */
  readonly read: (path: string) => string | undefined;
  /** The names in a folder, in order; none where there is no folder. */
  readonly list: (path: string) => string[];
}

export function realHost(environment: Host["environment"]): Host {
  return {
    environment,
    read: (path) => {
      try {
        return readFileSync(path, "utf8").trim();
      } catch {
        return undefined;
      }
    },
    list: (path) => {
      try {
        return readdirSync(path).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      } catch {
        return [];
      }
    },
  };
}

/** A whole number out of a file; undefined for "max" and the like. */
export function readNumber(host: Host, path: string): number | undefined {
  const text = host.read(path);
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}
