// Reads one YAML configuration file and checks it against the schema. Errors name file, line, column, the path of the
// member, what is wrong and what is allowed.

import { readFileSync, statSync } from "node:fs";
import { Ajv } from "ajv";
import { isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { WeftError } from "../errors.js";
import { fileSchema } from "./settings.js";
import {
  addKeywords,
  formatPath,
  problemsBetweenMembers,
  problemsOf,
  type Problem,
  type TopicConfig,
} from "./topic-config.js";
import { parseSize, parseTime } from "./units.js";

export const FILE_BYTES_MAX = 1024 * 1024;

export interface ConfigFile {
  readonly path: string;
  /** What the file says, as it stands there (units not yet resolved). */
  readonly values: {
    readonly topics?: Record<string, TopicConfig>;
    readonly [section: string]: Record<string, unknown> | undefined;
  };
  /** "weftline.yaml:4:13" of a member. */
  position(path: readonly (string | number)[]): string;
}

let validateFile: ReturnType<Ajv["compile"]> | undefined;

function validator(): ReturnType<Ajv["compile"]> {
  if (!validateFile) {
    const ajv = new Ajv({ verbose: true, strict: true, allowUnionTypes: true });
    addKeywords(ajv, { weftSize: parseSize, weftTime: parseTime });
    validateFile = ajv.compile(fileSchema());
  }
  return validateFile;
}

function invalid(where: string, message: string, cause?: unknown): WeftError {
  return new WeftError("WEFT_CONFIG_INVALID", `${where}: ${message}`, cause === undefined ? {} : { cause });
}

/** undefined if there is no such file and it is not `required`. */
export function readConfigFile(path: string, required: boolean): ConfigFile | undefined {
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw invalid(path, `has ${size} bytes; a configuration has at most ${FILE_BYTES_MAX}`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof WeftError) throw error;
    if (!required && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw invalid(path, `cannot be read: ${(error as Error).message}`, error);
  }
  return parseConfig(path, text);
}

export function parseConfig(path: string, text: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const [syntax] = [...document.errors, ...document.warnings];
  if (syntax) throw invalid(place(syntax.pos[0]), syntax.message);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    throw invalid(path, (error as Error).message, error);
  }
  const root = document.contents as Node | null;
  const position = (at: readonly (string | number)[], atKey = false): string => place(offsetOf(root, at, atKey));
  const complain = (problem: Problem): WeftError => {
    const where = problem.path.length === 0 ? "" : `${formatPath(problem.path)}: `;
    return invalid(position(problem.path, problem.atKey), `${where}${problem.message}`);
  };
  const validate = validator();
  if (!validate(value)) {
    const [problem] = problemsOf(validate.errors ?? [], value);
    throw complain(problem ?? { path: [], atKey: false, message: "is not valid" });
  }
  const values = value as ConfigFile["values"];
  for (const [name, config] of Object.entries(values.topics ?? {})) {
    const [problem] = problemsBetweenMembers(config);
    if (problem) throw complain({ ...problem, path: ["topics", name, ...problem.path] });
  }
  return { path, values, position };
}

/** Where the member's value (or its name) begins; where the way ends early, the last node that there is. */
function offsetOf(root: Node | null, path: readonly (string | number)[], atKey: boolean): number {
  let node: unknown = root;
  let offset = root?.range?.[0] ?? 0;
  for (const [index, step] of path.entries()) {
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      );
      if (!pair) return offset;
      const key = pair.key as Node;
      offset = key.range?.[0] ?? offset;
      if (atKey && index === path.length - 1) return offset;
      next = pair.value;
    } else if (isSeq(node)) {
      next = node.items[Number(step)];
    }
    if (next === null || next === undefined) return offset;
    node = next;
    offset = (next as Node).range?.[0] ?? offset;
  }
  return offset;
}
