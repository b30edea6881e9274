/** The command line of a benchmark: wrong use, and a place that cannot be written, end it with 2 and one sentence. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from "node:fs";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";

export function benchCommand(name: string, summary: string): Command {
  return new Command(name)
    .description(summary)
    .allowExcessArguments(false)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .configureHelp({ helpWidth: 100 });
}

/** Ends a program whose command line cannot be followed. */
export function refuse(text: string): never {
  console.error(`error: ${text}`);
  process.exit(2);
}

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("It must be a number above 0.");
}

export function positiveInteger(text: string): number {
  const value = positiveNumber(text);
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

export function names(text: string): string[] {
  return text.split(",").filter((name) => name !== "");
}

/** Some of `allowed`, separated by commas. */
export function someOf(allowed: readonly string[]): (text: string) => string[] {
  return (text) => {
    const chosen = names(text);
    const unknown = chosen.find((name) => !allowed.includes(name));
    if (unknown !== undefined) throw new InvalidArgumentError(`There is no '${unknown}', only ${allowed.join(", ")}.`);
    if (chosen.length === 0) throw new InvalidArgumentError(`Name some of ${allowed.join(", ")}.`);
    return chosen;
  };
}

const because = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A file that can be written, found out now and not after most of an hour. Its content stays. */
export function writableFile(text: string): string {
  const file = path.resolve(text);
  const isNew = !existsSync(file);
  try {
    closeSync(openSync(file, "a"));
    if (isNew) unlinkSync(file);
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be written: ${because(error)}.`);
  }
  return file;
}

/** A folder that is there, or can be made in one that is. */
export function writableFolder(text: string): string {
  const folder = path.resolve(text);
  try {
    if (!existsSync(folder)) {
      mkdirSync(folder);
      rmdirSync(folder);
    } else if (statSync(folder).isDirectory()) {
      rmdirSync(mkdtempSync(path.join(folder, ".writable-")));
    } else {
      throw new Error(`'${folder}' is not a folder`);
    }
  } catch (error) {
    throw new InvalidArgumentError(`Nothing can be put there: ${because(error)}.`);
  }
  return folder;
}

export interface Scratch {
  readonly folder: string;
  /** Removes it, and `parent` if that was made for it. */
  remove(): void;
}

/** A new folder in `parent`, for the files of one run. */
export function scratchFolder(parent: string, prefix: string): Scratch {
  const isParentNew = !existsSync(parent);
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, prefix));
  return {
    folder,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
      try {
        if (isParentNew) rmdirSync(parent);
      } catch {
        // Somebody else has put something there.
      }
    },
  };
}
