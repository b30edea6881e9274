// Writes src/native/error-codes.ts, docs/errors.md, native/fortran/weft_codes.f90 and python/weftline/codes.py from the
// X-macro table in native/include/weftline/weft_errors.h. `--check` writes nothing and fails if a file is not what it
// should be.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { inRoot } from "./lib/paths.mjs";

const header = "native/include/weftline/weft_errors.h";
const row =
  /^\s*X\(\s*([A-Z][A-Z0-9_]*)\s*,\s*(\d+)\s*,\s*([01])\s*,\s*"((?:[^"\\]|\\.)*)"\s*,\s*"((?:[^"\\]|\\.)*)"\s*\)\s*\\?$/;

/** @returns {{ name: string, number: number, canRetry: boolean, meaning: string, next: string }[]} */
export function parseErrorTable(text) {
  const errors = [];
  const seen = { name: new Set(), number: new Set() };
  let inTable = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (/^#define WEFT_ERROR_TABLE\(X\)/.test(line)) {
      inTable = true;
      continue;
    }
    if (!inTable) continue;
    const match = row.exec(line);
    if (!match)
      throw new Error(`${header}:${index + 1}: not of the form X(NAME, number, 0|1, "…", "…"): ${line.trim()}`);
    const [, short, number, canRetry, meaning, next] = match;
    const error = {
      name: `WEFT_${short}`,
      number: Number(number),
      canRetry: canRetry === "1",
      meaning: JSON.parse(`"${meaning}"`),
      next: JSON.parse(`"${next}"`),
    };
    for (const key of ["name", "number"]) {
      if (seen[key].has(error[key])) throw new Error(`${header}:${index + 1}: ${key} ${error[key]} is used twice`);
      seen[key].add(error[key]);
    }
    errors.push(error);
    inTable = line.trimEnd().endsWith("\\");
  }
  if (errors.length === 0) throw new Error(`${header}: no table row found`);
  return errors;
}

export function typescriptOf(errors) {
  const failures = errors.filter((error) => error.number !== 0);
  const entry = ({ name, number, canRetry, meaning, next }) =>
    [
      `  ${name}: {`,
      `    number: ${number},`,
      `    canRetry: ${canRetry},`,
      `    meaning: ${JSON.stringify(meaning)},`,
      `    next: ${JSON.stringify(next)},`,
      "  },",
    ].join("\n");
  return `// Generated from ${header} by scripts/generate-errors.mjs. Do not edit: run \`npm run generate\`.

/** Every code that an error of Weftline can carry. */
export type ErrorCode =
${failures.map(({ name }) => `  | "${name}"`).join("\n")};

export interface ErrorDescription {
  /** The number that the C API returns. Numbers are never reused. */
  readonly number: number;
  /** The same call may succeed later without a change by the caller. */
  readonly canRetry: boolean;
  readonly meaning: string;
  /** What to do next; empty where nothing is to be done. */
  readonly next: string;
}

export const errorTable: Readonly<Record<ErrorCode, ErrorDescription>> = {
${failures.map(entry).join("\n")}
};

const codesByNumber: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
${failures.map(({ name, number }) => `  [${number}, "${name}"],`).join("\n")}
]);

/** The code of a number from the C API; undefined for 0 (no error) and for numbers of a newer native core. */
export function errorCodeOf(number: number): ErrorCode | undefined {
  return codesByNumber.get(number);
}
`;
}

export function markdownOf(errors) {
  const cell = (text) => text.replaceAll("|", "\\|");
  const line = ({ name, number, canRetry, meaning, next }) =>
    `| \`${name}\` | ${number} | ${canRetry ? "yes" : "no"} | ${cell(meaning)} | ${cell(next)} |`;
  return `<!-- Generated from ${header} by scripts/generate-errors.mjs. Do not edit: run \`npm run generate\`. -->

# Error codes

One table for C, C++, Fortran, Python, TypeScript and the command line. Numbers are never reused. "Can be tried again" means that the
same call may succeed later without a change by the caller.

| code | number | can be tried again | what it means | what to do next |
| --- | --- | --- | --- | --- |
${errors.map(line).join("\n")}
`;
}

export function fortranOf(errors) {
  const line = ({ name, number, meaning }) =>
    `  integer, parameter, public :: ${name} = ${number} ! ${meaning || "no error"}`;
  return `! Generated from ${header} by scripts/generate-errors.mjs. Do not edit: run \`npm run generate\`.
module weft_codes
  implicit none
  private
${errors.map(line).join("\n")}
end module weft_codes
`;
}

export function pythonOf(errors) {
  const line = ({ name, number, canRetry, meaning, next }) =>
    `    Code("${name}", ${number}, ${canRetry ? "True" : "False"}, ${JSON.stringify(meaning)}, ${JSON.stringify(next)}),`;
  return `# Generated from ${header} by scripts/generate-errors.mjs. Do not edit: run \`npm run generate\`.
"""Every code that an error of Weftline can carry."""
from typing import NamedTuple


class Code(NamedTuple):
    """One row of the table; \`can_retry\`: the same call may succeed later without a change by the caller."""

    name: str
    number: int
    can_retry: bool
    meaning: str
    next: str


CODES = (
${errors.map(line).join("\n")}
)
BY_NUMBER = {code.number: code for code in CODES}
BY_NAME = {code.name: code for code in CODES}
`;
}

/** The generated files that are not as they should be (and are, after `write`). */
export function generateErrors({ write }) {
  const errors = parseErrorTable(readFileSync(inRoot(header), "utf8"));
  const files = {
    "src/native/error-codes.ts": typescriptOf(errors),
    "docs/errors.md": markdownOf(errors),
    "native/fortran/weft_codes.f90": fortranOf(errors),
    "python/weftline/codes.py": pythonOf(errors),
  };
  const changed = [];
  for (const [name, text] of Object.entries(files)) {
    const file = inRoot(name);
    if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
    changed.push(name);
    if (!write) continue;
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return changed;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const check = process.argv.includes("--check");
  const changed = generateErrors({ write: !check });
  for (const name of changed) console.log(check ? `${name} does not match ${header}` : `wrote ${name}`);
  if (check && changed.length > 0) {
    console.error("next: run `npm run generate` and commit the result");
    process.exit(1);
  }
}
