// Reads one YAML file, of configuration or of a site, and checks it against its schema. Errors name file, line, column, the
// path of the member, what is wrong and what is allowed.

import { readFileSync, statSync } from "node:fs";
import { Ajv } from "ajv";
import { isMap, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { WeftError } from "../errors.js";
import { type PlanConfig, problemsOfPlan } from "./plan-config.js";
import { fileSchema, type SECTIONS } from "./settings.js";
import { problemsOfSite, SITE_SCHEMA, type SiteConfig } from "./site-config.js";
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

type SettingSections = Readonly<Partial<Record<Exclude<(typeof SECTIONS)[number], "topics">, Record<string, unknown>>>>;

export interface ConfigFile {
  readonly path: string;
  /** What the file says, as it stands there (units not yet resolved). */
  readonly values: { readonly topics?: Record<string, TopicConfig> } & PlanConfig & SettingSections;
  /** The value of a setting, "server.data". */
  setting(path: string): unknown;
  /** "weftline.yaml:4:13" of a member. */
  position(path: readonly (string | number)[]): string;
}

type Validate = ReturnType<Ajv["compile"]>;

function compiler(schema: () => object): () => Validate {
  let compiled: Validate | undefined;
  return () => {
    if (compiled) return compiled;
    const ajv = new Ajv({ verbose: true, strict: true, allowUnionTypes: true });
    addKeywords(ajv, { weftSize: parseSize, weftTime: parseTime });
    compiled = ajv.compile(schema());
    return compiled;
  };
}
const configurationValidator = compiler(fileSchema);
const siteValidator = compiler(() => SITE_SCHEMA);

function invalid(where: string, message: string, cause?: unknown): WeftError {
  return new WeftError("WEFT_CONFIG_INVALID", `${where}: ${message}`, cause === undefined ? {} : { cause });
}

/** undefined if there is no such file and it is not `required`. */
export function readConfigFile(path: string, required: boolean): ConfigFile | undefined {
  const text = readText(path, required);
  return text === undefined ? undefined : parseConfig(path, text);
}

/** A site's file, which must be there. */
export function readSiteFile(path: string): SiteConfig {
  return parseSite(path, readText(path, true) ?? "");
}

function readText(path: string, required: boolean): string | undefined {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw invalid(path, `has ${size} bytes; a configuration has at most ${FILE_BYTES_MAX}`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof WeftError) throw error;
    if (!required && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw invalid(path, `cannot be read: ${(error as Error).message}`, error);
  }
}

export function parseConfig(path: string, text: string): ConfigFile {
  const { value, position } = parseChecked(path, text, configurationValidator(), (given) => {
    const values = given as ConfigFile["values"];
    const ofTopics = Object.entries(values.topics ?? {}).flatMap(([name, config]) =>
      problemsBetweenMembers(config).map((problem) => ({ ...problem, path: ["topics", name, ...problem.path] })),
    );
    return [...ofTopics, ...problemsOfPlan(values)];
  });
  const setting = (name: string): unknown => {
    const [section = "", member = ""] = name.split(".");
    return (value as Record<string, Record<string, unknown> | undefined>)[section]?.[member];
  };
  return { path, values: value as ConfigFile["values"], setting, position };
}

export function parseSite(path: string, text: string): SiteConfig {
  return parseChecked(path, text, siteValidator(), (given) => problemsOfSite(given as SiteConfig)).value as SiteConfig;
}

/** A value that fits its schema, or WEFT_CONFIG_INVALID with the place of the first thing that does not. */
function parseChecked(
  path: string,
  text: string,
  validate: Validate,
  problemsBetween: (value: unknown) => Problem[],
): { value: unknown; position: ConfigFile["position"] } {
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
  if (!validate(value)) {
    const [problem] = problemsOf(validate.errors ?? [], value);
    throw complain(problem ?? { path: [], atKey: false, message: "is not valid" });
  }
  const [problem] = problemsBetween(value);
  if (problem) throw complain(problem);
  return { value, position };
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
