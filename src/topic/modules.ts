/**
 * Functions of a topic that are ES modules of its users: found and hashed when the topic is created, found again, compared
 * and loaded where it is used. Only the file itself is compared, not what it imports.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
// eslint-disable-next-line no-restricted-imports -- it only resolves names of packages here
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { type ModuleConfig, isModuleConfig } from "../config/module-config.js";
import type { TopicConfig } from "../config/topic-config.js";
import { WeftError } from "../errors.js";
import type { SelectPartition } from "../producer/options.js";
import type { Validate } from "../validator/validator.js";
import { type MetadataCodec, isMetadataCodec } from "./metadata-codec.js";

/** The members of a config that may be modules. */
const members = ["validator", "partitionSelector", "serializer"] as const;
type ModuleMember = (typeof members)[number];

/** Relative paths of modules in a config made absolute, from the directory that it was written in. */
export function withAbsoluteModules(config: TopicConfig, directory: string): TopicConfig {
  return mapModules(config, (reference) => ({ ...reference, module: absolute(reference.module, directory) }));
}

/** The config with paths of modules made absolute and their hashes filled in. Rejects with WEFT_MODULE. */
export async function withHashedModules(topicName: string, config: TopicConfig): Promise<TopicConfig> {
  const hashed = withAbsoluteModules(config, process.cwd()) as Record<ModuleMember, unknown>;
  for (const member of members) {
    const reference = hashed[member];
    if (!isModuleConfig(reference)) continue;
    const { sha256 } = await read(topicName, member, reference);
    if (reference.sha256 !== undefined && reference.sha256 !== sha256)
      throw differs(topicName, member, reference, sha256);
    hashed[member] = { ...reference, sha256 };
  }
  return hashed as TopicConfig;
}

/** Loads all modules of a config with hashes, as those will who use the topic. Rejects with WEFT_MODULE. */
export async function tryModules(topicName: string, config: TopicConfig): Promise<void> {
  const { validator, partitionSelector, serializer } = config;
  if (isModuleConfig(validator)) await loadValidator(topicName, validator);
  if (isModuleConfig(partitionSelector)) await loadSelector(topicName, partitionSelector);
  if (isModuleConfig(serializer)) await loadCodec(topicName, serializer);
}

export async function loadValidator(topicName: string, reference: ModuleConfig): Promise<Validate> {
  return await load(topicName, "validator", reference, "a function", isFunction<Validate>);
}
export async function loadSelector(topicName: string, reference: ModuleConfig): Promise<SelectPartition> {
  return await load(topicName, "partitionSelector", reference, "a function", isFunction<SelectPartition>);
}
export async function loadCodec(topicName: string, reference: ModuleConfig): Promise<MetadataCodec> {
  return await load(topicName, "serializer", reference, "an object with encode and decode", isMetadataCodec);
}

function isFunction<Wanted>(value: unknown): value is Wanted {
  return typeof value === "function";
}

async function load<Wanted>(
  topicName: string,
  member: ModuleMember,
  reference: ModuleConfig,
  wanted: string,
  isWanted: (value: unknown) => value is Wanted,
): Promise<Wanted> {
  const made = await loadModule(topicName, member, reference);
  if (isWanted(made)) return made;
  throw unusable(topicName, member, reference, `it made ${typeOf(made)}, not ${wanted}`);
}

/**
 * What the export of a module makes of its options. WEFT_MODULE if it is not there, not the one that the topic was created
 * with, or no function.
 */
async function loadModule(topicName: string, member: ModuleMember, reference: ModuleConfig): Promise<unknown> {
  const { file, sha256 } = await read(topicName, member, reference);
  if (reference.sha256 !== sha256) throw differs(topicName, member, reference, sha256);
  const name = reference.export ?? "default";
  const fail = (what: string, cause?: unknown): WeftError =>
    unusable(topicName, member, reference, `${what}${cause === undefined ? "" : `: ${wordsOf(cause)}`}`, cause);
  let exported: unknown;
  try {
    // The hash in the address: another content is another module, also where this process loaded the path before.
    exported = ((await import(`${pathToFileURL(file).href}?sha256=${sha256}`)) as Record<string, unknown>)[name];
  } catch (error) {
    throw fail("it could not be loaded", error);
  }
  if (typeof exported !== "function") throw fail(`its export '${name}' is ${typeOf(exported)}, not a function`);
  try {
    return await (exported as (options: unknown) => unknown)(reference.options);
  } catch (error) {
    throw fail(`its export '${name}' threw`, error);
  }
}

function unusable(
  topicName: string,
  member: ModuleMember,
  reference: ModuleConfig,
  what: string,
  cause?: unknown,
): WeftError {
  return new WeftError("WEFT_MODULE", `topic '${topicName}': its ${member}, module '${reference.module}': ${what}`, {
    cause,
  });
}

export function typeOf(value: unknown): string {
  if (value === undefined) return "not there";
  return value === null ? "null" : `a ${typeof value}`;
}

function mapModules(config: TopicConfig, map: (reference: ModuleConfig) => ModuleConfig): TopicConfig {
  const mapped: Record<string, unknown> = { ...config };
  for (const member of members) {
    const value = mapped[member];
    if (isModuleConfig(value)) mapped[member] = map(value);
  }
  return mapped;
}

function absolute(module: string, directory: string): string {
  if (module.startsWith("file:")) return fileURLToPath(module);
  return /^\.{1,2}\//.test(module) ? path.resolve(directory, module) : module;
}

async function read(
  topicName: string,
  member: ModuleMember,
  reference: ModuleConfig,
): Promise<{ file: string; sha256: string }> {
  try {
    const from = createRequire(path.join(process.cwd(), "from-here.js"));
    const file = path.isAbsolute(reference.module) ? reference.module : from.resolve(reference.module);
    const bytes = await readFile(file);
    return { file, sha256: createHash("sha256").update(bytes).digest("hex") };
  } catch (error) {
    throw unusable(topicName, member, reference, `it is not there: ${wordsOf(error)}`, error);
  }
}

function differs(topicName: string, member: ModuleMember, reference: ModuleConfig, sha256: string): WeftError {
  const short = (hash: string | undefined): string => (hash === undefined ? "none" : `${hash.slice(0, 12)}…`);
  return unusable(
    topicName,
    member,
    reference,
    `it is not the one that the topic was created with (SHA-256 ${short(sha256)}, then ${short(reference.sha256)})`,
  );
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
}
