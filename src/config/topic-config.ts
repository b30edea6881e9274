// What a topic can be configured with: the one table that the YAML file, the options of serve() and the control
// protocol (docs/formats/control.md) are checked against, and the normal form in which the catalogue keeps it.

import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { type ModuleConfig, isModuleConfig, problemOfModule } from "./module-config.js";
import { type NormalizedPackedSchema, normalizeSchema, type PackedSchema, problemOfSchema } from "../packed/schema.js";
import type { PackedMetadata } from "../packed/packed-metadata.js";
import type { SchemaMetadata } from "../validator/schema-metadata.js";
import { type ValidatorConfig, problemOfValidator } from "../validator/validator.js";
import {
  type NormalizedRetention,
  type RetentionConfig,
  RETENTION_SCHEMA,
  normalizeRetention,
} from "./retention-config.js";
import { describeValue, nearest, parseSize, parseTime } from "./units.js";

export const PARTITIONS_MAX = 4096;
export const NAME_BYTES_MAX = 200;
export const KEPT_BYTES_MAX = 16 * 1024;
export const PRODUCER_TIMEOUT_MS_DEFAULT = 60_000;

export const STORAGES = ["disk", "memory"] as const;
export const DURABILITIES = ["memory", "written", "synced"] as const;
export const SERIALIZERS = ["json", "raw", "packed"] as const;
export const PARTITION_SELECTORS = [
  "round-robin",
  "key-hash",
  "producer-rank",
  "same-node",
  "explicit",
  "custom",
] as const;

export type Storage = (typeof STORAGES)[number];
export type Durability = (typeof DURABILITIES)[number];
/** The name of one, or a module whose export makes a `MetadataCodec`. */
export type Serializer = (typeof SERIALIZERS)[number] | ModuleConfig;
/**
 * The name of one ("custom": each producer gives a function); the hash of the value at a JSON pointer of the metadata; or a
 * module whose export makes a `SelectPartition`.
 */
export type PartitionSelector = (typeof PARTITION_SELECTORS)[number] | KeyAtPointer | ModuleConfig;
export interface KeyAtPointer {
  /** JSON pointer (RFC 6901) of a text, a number, true or false in the metadata, such as "/station/id". */
  keyAt: string;
}

/** The numbers of serializers in the C ABI. */
export function serializerNumber(serializer: Serializer): number {
  return typeof serializer === "string" ? SERIALIZERS.indexOf(serializer) : SERIALIZERS.length;
}
/** In a word or two, for lists. */
export function describeFunction(value: Serializer | PartitionSelector): string {
  if (typeof value === "string") return value;
  return isModuleConfig(value) ? `module ${value.module}` : `key at ${value.keyAt}`;
}

/** As a user gives it; sizes in bytes or as a text with a unit. */
export interface TopicConfig {
  /** 1 to 4,096; default 1. */
  partitions?: number;
  /** Default "disk". */
  storage?: Storage;
  /** Default "written"; "memory" for storage "memory". */
  durability?: Durability;
  /** How metadata becomes bytes; default "packed" where `packed` is given, else "json". */
  serializer?: Serializer;
  /** The fields of the records that metadata is, for the serializer "packed" (docs/formats/packed.md). */
  packed?: PackedSchema;
  /** What metadata must meet; a topic that has one demands JavaScript of its producers. */
  validator?: ValidatorConfig;
  /** Default "round-robin". */
  partitionSelector?: PartitionSelector;
  /** Whether clients that cannot run the validator may produce all the same; default false. */
  allowUnvalidated?: boolean;
  /** Files roll at this size; 1 MiB to 1 TiB, default 256 MiB. */
  segmentBytes?: number | string;
  /** Limit of the data of one partition with storage "memory"; default 256 MiB. */
  memoryDataBytes?: number | string;
  /** Limit of the metadata of one partition with storage "memory"; default 64 MiB. */
  memoryMetadataBytes?: number | string;
  /** Absolute; where the metadata files of all partitions lie instead of the data directory. */
  metadataDirectory?: string;
  /** Absolute; where the data files of all partitions lie instead of the data directory. */
  dataDirectory?: string;
  /** Which server slot holds each partition; default round robin. */
  slots?: number[];
  /** Which events go by themselves; default none. */
  retention?: RetentionConfig;
  /**
   * The topic ends when so many producers, each with a name of its own, were opened and all of them closed; 1 to 4,096. Default:
   * it ends only when it is sealed.
   */
  producers?: number;
  /**
   * A producer of these whose process died and that did not come back for so long counts as closed, and consumers get
   * WEFT_PRODUCER_LOST at the end; default 60 s. Milliseconds, or a text such as "5min".
   */
  producerTimeoutMs?: number | string;
  /** Kept for the clients. */
  options?: Record<string, unknown>;
}

/** The type of the metadata, as far as the config says it. */
export type MetadataOfConfig<Config> = Config extends { readonly validator: { readonly schema: infer Schema } }
  ? SchemaMetadata<Schema>
  : Config extends { readonly packed: infer Schema extends PackedSchema }
    ? PackedMetadata<Schema>
    : unknown;

/** The normal form: every default filled in, sizes in bytes; `slots` still open. */
export interface NormalizedTopicConfig {
  partitions: number;
  storage: Storage;
  durability: Durability;
  serializer: Serializer;
  packed?: NormalizedPackedSchema;
  validator?: ValidatorConfig;
  partitionSelector: PartitionSelector;
  allowUnvalidated: boolean;
  segmentBytes: number;
  memoryDataBytes: number;
  memoryMetadataBytes: number;
  metadataDirectory?: string;
  dataDirectory?: string;
  slots?: number[];
  retention?: NormalizedRetention;
  producers?: number;
  producerTimeoutMs?: number;
  options: Record<string, unknown>;
}

/** What is wrong at one place of a value: `path` as in `topics.field.durability`, `property` a member's own name. */
export interface Problem {
  /** The members from the root to the place. */
  path: (string | number)[];
  /** Whether the place is a member's name rather than its value. */
  atKey: boolean;
  message: string;
}

const MEBIBYTE = 1024 ** 2;

function size(minimum: number, maximum: number): object {
  return { weftSize: { minimum, maximum } };
}

const ABSOLUTE_PATH = { type: "string", pattern: "^/" };

/** JSON Schema of a TopicConfig, for ajv with the keywords of `addKeywords`. */
export const TOPIC_CONFIG_SCHEMA = {
  type: "object",
  additionalProperties: false,
  properties: {
    partitions: { type: "integer", minimum: 1, maximum: PARTITIONS_MAX },
    storage: { enum: STORAGES },
    durability: { enum: DURABILITIES },
    // These four are checked by functions of their own.
    serializer: {},
    packed: {},
    validator: {},
    partitionSelector: {},
    allowUnvalidated: { type: "boolean" },
    segmentBytes: size(MEBIBYTE, 1024 ** 4),
    memoryDataBytes: size(64 * 1024, 1024 ** 4),
    memoryMetadataBytes: size(64 * 1024, 1024 ** 4),
    metadataDirectory: ABSOLUTE_PATH,
    dataDirectory: ABSOLUTE_PATH,
    slots: {
      type: "array",
      items: { type: "integer", minimum: 0, maximum: 65_535 },
      minItems: 1,
      maxItems: PARTITIONS_MAX,
    },
    retention: RETENTION_SCHEMA,
    producers: { type: "integer", minimum: 1, maximum: 4096 },
    producerTimeoutMs: { weftTime: { minimum: 1, maximum: 2 ** 32 - 1 } },
    options: { type: "object" },
  },
} as const;

export const TOPIC_NAME_PATTERN = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$";
const TOPIC_NAME = new RegExp(TOPIC_NAME_PATTERN);

/** Why a name cannot be a topic's, or undefined. */
export function problemOfName(name: unknown): string | undefined {
  if (typeof name === "string" && TOPIC_NAME.test(name)) return undefined;
  return `${describeValue(name)} is not a topic name: 1 to ${NAME_BYTES_MAX} of A-Z a-z 0-9 . _ -, not beginning with a dot`;
}

/** Adds the keywords `weftSize` and `weftTime`, whose errors carry their own words. */
export function addKeywords(ajv: Ajv, quantities: Readonly<Record<string, typeof parseSize>>): void {
  for (const [keyword, parse] of Object.entries(quantities)) {
    const validate = (bounds: { minimum?: number; maximum?: number }, given: unknown): boolean => {
      const parsed = parse(given);
      const problem =
        "problem" in parsed ? parsed.problem : outsideBounds(given, parsed.value, bounds.minimum, bounds.maximum);
      (validate as { errors?: Partial<ErrorObject>[] }).errors = problem ? [{ keyword, message: problem }] : [];
      return problem === undefined;
    };
    ajv.addKeyword({ keyword, errors: true, validate });
  }
}

function outsideBounds(given: unknown, value: number, minimum = 0, maximum = Infinity): string | undefined {
  if (value < minimum) return `${describeValue(given)} is below ${minimum}`;
  if (value > maximum) return `${describeValue(given)} is above ${maximum}`;
  return undefined;
}

/** Turns ajv's errors into places with words that say what is allowed. */
export function problemsOf(errors: readonly ErrorObject[], value: unknown): Problem[] {
  return errors.map((error) => {
    const path = pathOfPointer(error.instancePath, value);
    const found = describeValue(valueAt(value, path));
    const parameters = error.params as Record<string, unknown>;
    if (error.propertyName !== undefined) {
      const name = error.propertyName;
      return { path: [...path, name], atKey: true, message: problemOfName(name) ?? `"${name}" is not a name` };
    }
    switch (error.keyword) {
      case "additionalProperties": {
        const name = String(parameters["additionalProperty"]);
        const known = Object.keys((error.parentSchema?.["properties"] ?? {}) as object);
        const guess = nearest(name, known);
        const hint = guess ? `did you mean "${guess}"?` : `known here: ${known.join(", ")}`;
        return { path: [...path, name], atKey: true, message: `"${name}" is not known here; ${hint}` };
      }
      case "enum":
        return {
          path,
          atKey: false,
          message: `${found} is not one of ${(parameters["allowedValues"] as unknown[]).join(", ")}`,
        };
      case "type":
        return {
          path,
          atKey: false,
          message: `${found} is not ${String(parameters["type"]).split(",").map(withArticle).join(" or ")}`,
        };
      case "minimum":
      case "maximum":
        return {
          path,
          atKey: false,
          message: `${found} is ${error.keyword === "minimum" ? "below" : "above"} ${String(parameters["limit"])}`,
        };
      case "pattern":
        return {
          path,
          atKey: false,
          message: `${found} ${parameters["pattern"] === "^/" ? "is not an absolute path" : `does not match ${String(parameters["pattern"])}`}`,
        };
      default:
        return { path, atKey: false, message: error.message ?? `${found} is not valid (${error.keyword})` };
    }
  });
}

function withArticle(type: string): string {
  const words: Record<string, string> = {
    integer: "a whole number",
    number: "a number",
    string: "a text",
    boolean: "true or false",
    object: "a mapping",
    array: "a list",
  };
  return words[type] ?? type;
}

function pathOfPointer(pointer: string, value: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let at: unknown = value;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    const step = Array.isArray(at) ? Number(name) : name;
    path.push(step);
    at = (at as Record<string | number, unknown> | undefined)?.[step];
  }
  return path;
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let at = value;
  for (const step of path) at = (at as Record<string | number, unknown> | undefined)?.[step];
  return at;
}

// Compiled when it is first asked for: it takes longer than to load the rest of the library.
let compiled: ValidateFunction | undefined;
function topicConfigValidator(): ValidateFunction {
  if (compiled) return compiled;
  const ajv = new Ajv({ allErrors: false, verbose: true, strict: true, allowUnionTypes: true });
  addKeywords(ajv, { weftSize: parseSize, weftTime: parseTime });
  compiled = ajv.compile(TOPIC_CONFIG_SCHEMA);
  return compiled;
}

/** What no schema of single members can say. */
export function problemsBetweenMembers(config: TopicConfig): Problem[] {
  const problems: Problem[] = [];
  const say = (member: keyof TopicConfig, message: string): void => {
    problems.push({ path: [member], atKey: false, message });
  };
  if (config.storage === "memory" && config.durability !== undefined && config.durability !== "memory") {
    say("durability", `"${config.durability}" needs storage "disk"; storage "memory" knows only "memory"`);
  }
  if (config.slots !== undefined && config.slots.length !== (config.partitions ?? 1)) {
    say("slots", `has ${config.slots.length} slots for ${config.partitions ?? 1} partitions; give one for each`);
  }
  for (const member of ["metadataDirectory", "dataDirectory"] as const) {
    if (config[member] !== undefined && config.storage === "memory") say(member, `has no meaning for storage "memory"`);
  }
  if (config.producerTimeoutMs !== undefined && config.producers === undefined) {
    say("producerTimeoutMs", "has no meaning without producers");
  }
  problems.push(...problemsOfFunctions(config));
  problems.push(...problemsOfPacked(config));
  if (problems.length > 0) return problems;
  const { validator, partitionSelector, serializer, options, packed } = config;
  const kept = JSON.stringify([validator, partitionSelector, serializer, options, packed]).length;
  if (kept > KEPT_BYTES_MAX) {
    const member = packed !== undefined ? "packed" : validator !== undefined ? "validator" : "options";
    say(
      member,
      `validator, partitionSelector, serializer, options and packed have ${kept} bytes of JSON together; at most ${KEPT_BYTES_MAX}`,
    );
  }
  return problems;
}

/** The forms that a member may have beside its names: told by the one member that each has. */
type Forms = Readonly<Record<string, (value: never) => Omit<Problem, "atKey"> | undefined>>;

function problemsOfFunctions(config: TopicConfig): Problem[] {
  const { serializer, validator, partitionSelector } = config;
  const problems = [
    problemOfFunction("serializer", serializer, SERIALIZERS, { module: problemOfModule }),
    problemOfFunction("validator", validator, ["custom"], {
      schema: problemOfValidator,
      pattern: problemOfValidator,
      module: problemOfModule,
    }),
    problemOfFunction("partitionSelector", partitionSelector, PARTITION_SELECTORS, {
      keyAt: problemOfKeyAt,
      module: problemOfModule,
    }),
  ].filter((problem) => problem !== undefined);
  if (problems.length > 0 || serializer !== "raw") return problems;
  const needsValues = (member: string): Problem[] => [
    { path: [member], atKey: false, message: 'has no meaning for the serializer "raw": its metadata is bytes' },
  ];
  if (validator !== undefined && typeof validator === "object" && !isModuleConfig(validator)) {
    return needsValues("validator");
  }
  return typeof partitionSelector === "object" && "keyAt" in partitionSelector ? needsValues("partitionSelector") : [];
}

function problemOfFunction(
  member: string,
  value: unknown,
  names: readonly string[],
  forms: Forms,
): Problem | undefined {
  if (value === undefined) return undefined;
  const here = (message: string, path: (string | number)[] = []): Problem => ({
    path: [member, ...path],
    atKey: false,
    message,
  });
  if (typeof value === "string" && names.includes(value)) return undefined;
  const known = Object.keys(forms);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return here(`${describeValue(value)} is not one of ${names.join(", ")}, nor a mapping with ${known.join(" or ")}`);
  }
  const given = Object.keys(value);
  const form = known.find((name) => given.includes(name));
  if (form === undefined) return here(`has ${given.join(", ") || "no member"}; it wants ${known.join(" or ")}`);
  const extra = form === "module" ? undefined : given.find((name) => name !== form);
  if (extra !== undefined) return { ...here(`"${extra}" is not known beside ${form}`, [extra]), atKey: true };
  const problem = forms[form]?.(value as never);
  return problem && here(problem.message, problem.path);
}

function problemOfKeyAt({ keyAt }: KeyAtPointer): Omit<Problem, "atKey"> | undefined {
  if (typeof keyAt === "string" && /^(\/([^~/]|~[01])*)+$/.test(keyAt)) return undefined;
  return { path: ["keyAt"], message: `${describeValue(keyAt)} is not a JSON pointer, such as /station/id` };
}

function problemsOfPacked({ packed, serializer }: TopicConfig): Problem[] {
  const here = (message: string): Problem[] => [{ path: ["packed"], atKey: false, message }];
  if (packed === undefined) {
    return serializer === "packed" ? here('is missing: the serializer "packed" needs the fields of a record') : [];
  }
  if (serializer !== undefined && serializer !== "packed") {
    return here(`has no meaning for the serializer "${describeFunction(serializer)}"`);
  }
  const problem = problemOfSchema(packed);
  return problem === undefined ? [] : [{ ...problem, path: ["packed", ...problem.path] }];
}

/** Checks a config and fills in the defaults; or the first thing that is wrong. */
export function normalizeTopicConfig(given: unknown): { config: NormalizedTopicConfig } | { problem: Problem } {
  const value = given ?? {};
  const validate = topicConfigValidator();
  if (!validate(value)) {
    const [problem] = problemsOf(validate.errors ?? [], value);
    return { problem: problem ?? { path: [], atKey: false, message: "is not valid" } };
  }
  const config = value as TopicConfig;
  const [problem] = problemsBetweenMembers(config);
  if (problem) return { problem };
  const bytes = (size: number | string | undefined, fallback: number): number => {
    const parsed = size === undefined ? { value: fallback } : parseSize(size);
    return "value" in parsed ? parsed.value : fallback; // the schema has checked it
  };
  const milliseconds = (time: number | string): number => {
    const parsed = parseTime(time);
    return "value" in parsed ? parsed.value : PRODUCER_TIMEOUT_MS_DEFAULT; // the schema has checked it
  };
  const storage = config.storage ?? "disk";
  return {
    config: {
      partitions: config.partitions ?? 1,
      storage,
      durability: config.durability ?? (storage === "memory" ? "memory" : "written"),
      serializer: config.serializer ?? (config.packed === undefined ? "json" : "packed"),
      ...(config.packed === undefined ? {} : { packed: normalizeSchema(config.packed) }),
      ...(config.validator === undefined ? {} : { validator: config.validator }),
      partitionSelector: config.partitionSelector ?? "round-robin",
      allowUnvalidated: config.allowUnvalidated ?? false,
      segmentBytes: bytes(config.segmentBytes, 256 * MEBIBYTE),
      memoryDataBytes: bytes(config.memoryDataBytes, 256 * MEBIBYTE),
      memoryMetadataBytes: bytes(config.memoryMetadataBytes, 64 * MEBIBYTE),
      ...(config.metadataDirectory === undefined ? {} : { metadataDirectory: config.metadataDirectory }),
      ...(config.dataDirectory === undefined ? {} : { dataDirectory: config.dataDirectory }),
      ...(config.slots === undefined ? {} : { slots: [...config.slots] }),
      ...(config.retention === undefined ? {} : { retention: normalizeRetention(config.retention) }),
      ...(config.producers === undefined
        ? {}
        : {
            producers: config.producers,
            producerTimeoutMs: milliseconds(config.producerTimeoutMs ?? PRODUCER_TIMEOUT_MS_DEFAULT),
          }),
      options: config.options ?? {},
    },
  };
}

/** Whether only JavaScript can produce into the topic as configured. */
export function demandsJavaScript(
  config: Pick<NormalizedTopicConfig, "validator" | "partitionSelector" | "serializer">,
): boolean {
  const { validator, partitionSelector, serializer } = config;
  const isNative = typeof partitionSelector === "string" && partitionSelector !== "custom";
  return validator !== undefined || !isNative || typeof serializer !== "string";
}

/** "topics.field.durability" or "topics.field.slots[2]". */
export function formatPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const step of path) text += typeof step === "number" ? `[${step}]` : text === "" ? step : `.${step}`;
  return text === "" ? "the whole" : text;
}
