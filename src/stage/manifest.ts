// What was staged, and how whoever reads it knows that it is whole: a list of files with their sizes and SHA-256, written
// last. docs/launch.md has its form.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../errors.js";

export const MANIFEST = "manifest.json";

export interface StagedFile {
  /** Below the directory, with `/`. */
  readonly path: string;
  readonly bytes: number;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
}

export interface Manifest {
  readonly format: "weftline-staged-data";
  readonly version: 1;
  readonly stagedAt: string;
  readonly source: string;
  /** Of the server whose data it is. */
  readonly slot: number;
  readonly files: readonly StagedFile[];
  /** Folders of partitions that lay elsewhere, by their place below the directory. */
  readonly links: Readonly<Record<string, string>>;
}

/** WEFT_CONFIG_INVALID: no staged data; WEFT_FORMAT_NEWER; WEFT_CORRUPT: it is no manifest. */
export function readManifest(directory: string): Manifest {
  const path = join(directory, MANIFEST);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new WeftError("WEFT_CONFIG_INVALID", `${directory} holds no staged data: there is no ${path}`, {
      cause,
      next: "give the directory that `weftline stage out` wrote; one that ends in .partial is not complete",
    });
  }
  let value: Partial<Manifest>;
  try {
    value = JSON.parse(text) as Partial<Manifest>;
  } catch (cause) {
    throw new WeftError("WEFT_CORRUPT", `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (value.format !== "weftline-staged-data" || !Array.isArray(value.files) || typeof value.version !== "number") {
    throw new WeftError("WEFT_CORRUPT", `${path} is not a manifest of staged data`, {
      next: "give the directory that `weftline stage out` wrote",
    });
  }
  if (value.version > 1) {
    throw new WeftError("WEFT_FORMAT_NEWER", `${path} has version ${value.version}, this build knows 1`);
  }
  return { links: {}, ...value } as Manifest;
}
