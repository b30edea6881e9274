/**
 * What goes to the servers as JSON must be data: JSON.stringify leaves functions out without a word, and a topic would be
 * created without the validator that its creator wrote. Pure.
 */
import { WeftError } from "../errors.js";
import { formatPath } from "./topic-config.js";

/** A config is as deep as the schema in it; one that holds itself is endless. */
const depthMax = 100;

/** WEFT_CONFIG_INVALID for what is no object, or has a member that is no data. */
export function checkIsData(what: string, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refused(what, [], "it is no object");
  }
  check(what, value, []);
}

function check(what: string, value: unknown, path: readonly (string | number)[]): void {
  if (path.length > depthMax) throw refused(what, path.slice(0, 3), `it is more than ${depthMax} levels deep`);
  if (typeof value === "function")
    throw refused(what, path, "it is a function; give it as a module, or to each producer");
  if (typeof value === "bigint" || typeof value === "symbol") throw refused(what, path, `it is a ${typeof value}`);
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) check(what, item, [...path, index]);
    return;
  }
  for (const [name, member] of Object.entries(value)) check(what, member, [...path, name]);
}

function refused(what: string, path: readonly (string | number)[], why: string): WeftError {
  const where = path.length === 0 ? "" : `: ${formatPath(path)}`;
  return new WeftError("WEFT_CONFIG_INVALID", `${what}${where}: ${why}`, { next: "correct that member" });
}
