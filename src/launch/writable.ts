// Whether a directory that a launch will write can be written, found before anything is started.
import { accessSync, constants, mkdirSync } from "node:fs";
import { WeftError } from "../errors.js";

/**
 * Makes the directory if it is not there. `what` begins the message: "the data directory"; `orElse` is what can be given in its
 * place. Throws WEFT_NOT_WRITABLE.
 */
export function requireWritableDirectory(what: string, path: string, orElse: string): void {
  try {
    mkdirSync(path, { recursive: true });
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const isInTheWay = code === "EEXIST" || code === "ENOTDIR";
    throw new WeftError("WEFT_NOT_WRITABLE", `${what} ${path} cannot be written: ${message}`, {
      cause,
      next: `${isInTheWay ? "move the file that stands in its place" : "correct its permissions"}, or give ${orElse}`,
    });
  }
}
