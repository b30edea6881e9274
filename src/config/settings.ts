// Every setting there is, once: its kind, default, environment variable, unit and meaning. The schema of the YAML file,
// `weftline config explain` and docs/configuration.md are made from it.

import { PLAN_SCHEMAS } from "./plan-config.js";
import { TOPIC_CONFIG_SCHEMA, TOPIC_NAME_PATTERN } from "./topic-config.js";
import { describeValue, parseSize, parseTime } from "./units.js";

export type SettingKind = "path" | "text" | "size" | "time" | "count" | "boolean" | "choice";
export type SettingValue = string | number | boolean;

export interface Setting {
  /** "server.data". */
  readonly path: string;
  readonly kind: SettingKind;
  /** undefined: chosen at run time, as `meaning` says. */
  readonly default?: SettingValue;
  readonly environment: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly choices?: readonly string[];
  readonly meaning: string;
}

const GIBIBYTE = 1024 ** 3;
const DAY_MS = 86_400_000;

export const SETTINGS: readonly Setting[] = [
  {
    path: "server.data",
    kind: "path",
    environment: "WEFTLINE_DATA",
    meaning: "data directory of the slot; `weftline serve` takes ./weft, serve() keeps topics in memory only",
  },
  {
    path: "server.group",
    kind: "path",
    environment: "WEFTLINE_GROUP",
    meaning:
      "group directory, by which processes outside the MPI world find the job; `group` in the data directory of slot 0",
  },
  {
    path: "server.slot",
    kind: "count",
    minimum: 0,
    maximum: 65_535,
    environment: "WEFTLINE_SLOT",
    meaning: "number of the slot; what the data directory has on record, else the rank among the servers",
  },
  {
    path: "server.threads",
    kind: "count",
    default: 4,
    minimum: 1,
    maximum: 1024,
    environment: "WEFTLINE_THREADS",
    meaning: "native log writers and readers; at most the cores allowed",
  },
  {
    path: "server.slabBytes",
    kind: "size",
    default: 64 * 1024 ** 2,
    minimum: 8 * 1024 ** 2,
    maximum: 1024 * GIBIBYTE,
    environment: "WEFTLINE_SLAB_BYTES",
    meaning: "registered memory that the server moves data through",
  },
  {
    path: "server.drainMs",
    kind: "time",
    default: 30_000,
    minimum: 0,
    maximum: DAY_MS,
    environment: "WEFTLINE_DRAIN",
    meaning: "how long a drain may take before it is cut short",
  },
  {
    path: "server.until",
    kind: "choice",
    default: "stopped",
    choices: ["stopped", "clients-gone"],
    environment: "WEFTLINE_UNTIL",
    meaning: "when the server ends: when it is stopped, or once it had clients and has none any more",
  },
  {
    path: "server.forceLock",
    kind: "boolean",
    default: false,
    environment: "WEFTLINE_FORCE_LOCK",
    meaning: "use a data directory on a file system that has no locks; two servers on it would destroy it",
  },
  {
    path: "client.group",
    kind: "path",
    environment: "WEFTLINE_GROUP",
    meaning: "group directory of the job to attach to; the command line takes ./weft/group if it is there",
  },
  {
    path: "client.timeoutMs",
    kind: "time",
    default: 30_000,
    minimum: 1,
    maximum: DAY_MS,
    environment: "WEFTLINE_TIMEOUT",
    meaning: "for connecting to the servers, and for each request to their control plane",
  },
  {
    path: "client.serverWaitMs",
    kind: "time",
    default: 5000,
    minimum: 0,
    maximum: DAY_MS,
    environment: "WEFTLINE_SERVER_WAIT",
    meaning: "the command line waits so long for a server that is starting or is being started again",
  },
  {
    path: "client.deliveryTimeoutMs",
    kind: "time",
    default: 120_000,
    minimum: 1,
    maximum: DAY_MS,
    environment: "WEFTLINE_DELIVERY_TIMEOUT",
    meaning: "a batch that is not acknowledged by then fails",
  },
  {
    path: "network.transports",
    kind: "text",
    environment: "WEFTLINE_TRANSPORTS",
    meaning: 'fabric providers to use, such as "tcp,shm"; automatic',
  },
  {
    path: "network.bind",
    kind: "text",
    environment: "WEFTLINE_BIND",
    meaning: "numeric address of the interface to use; automatic",
  },
  {
    path: "limits.dataBytesInFlight",
    kind: "size",
    default: GIBIBYTE,
    minimum: 1024 ** 2,
    maximum: 1024 * GIBIBYTE,
    environment: "WEFTLINE_DATA_BYTES_IN_FLIGHT",
    meaning: "data under way from one client to one server; more waits",
  },
];

export const SECTIONS = ["server", "client", "network", "limits", "topics"] as const;

/** In words, for `config explain` and the docs. */
export function unitOf(setting: Setting): string {
  switch (setting.kind) {
    case "size":
      return "bytes, or with a unit: 64 MiB";
    case "time":
      return "milliseconds, or with a unit: 60s";
    case "count":
      return setting.minimum === undefined ? "a number" : `${setting.minimum} to ${setting.maximum ?? "any"}`;
    case "boolean":
      return "true or false";
    case "choice":
      return (setting.choices ?? []).join(" or ");
    case "path":
      return "a path";
    case "text":
      return "a text";
  }
}

function schemaOf(setting: Setting): object {
  const bounds = {
    ...(setting.minimum === undefined ? {} : { minimum: setting.minimum }),
    ...(setting.maximum === undefined ? {} : { maximum: setting.maximum }),
  };
  switch (setting.kind) {
    case "size":
      return { weftSize: bounds };
    case "time":
      return { weftTime: bounds };
    case "count":
      return { type: "integer", ...bounds };
    case "boolean":
      return { type: "boolean" };
    case "choice":
      return { enum: setting.choices };
    case "path":
    case "text":
      return { type: "string" };
  }
}

/** JSON Schema of a configuration file. */
export function fileSchema(): object {
  const properties: Record<string, object> = {};
  for (const section of SECTIONS) {
    if (section === "topics") continue;
    const members = SETTINGS.filter(({ path }) => path.startsWith(`${section}.`)).map(
      (setting) => [setting.path.slice(section.length + 1), schemaOf(setting)] as const,
    );
    properties[section] = {
      type: "object",
      additionalProperties: false,
      properties: Object.fromEntries(members),
    };
  }
  properties["topics"] = {
    type: "object",
    propertyNames: { pattern: TOPIC_NAME_PATTERN },
    additionalProperties: TOPIC_CONFIG_SCHEMA,
  };
  return { type: "object", additionalProperties: false, properties: { ...properties, ...PLAN_SCHEMAS } };
}

/** A value in its normal form: bytes, milliseconds, expanded path; or what is wrong with it. `given` may be a text. */
export function parseSetting(
  setting: Setting,
  given: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): { value: SettingValue } | { problem: string } {
  const parsed = parseByKind(setting, given, environment);
  if ("problem" in parsed || typeof parsed.value !== "number") return parsed;
  if (setting.minimum !== undefined && parsed.value < setting.minimum) {
    return { problem: `${describeValue(given)} is below ${setting.minimum}` };
  }
  if (setting.maximum !== undefined && parsed.value > setting.maximum) {
    return { problem: `${describeValue(given)} is above ${setting.maximum}` };
  }
  return parsed;
}

function parseByKind(
  setting: Setting,
  given: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): { value: SettingValue } | { problem: string } {
  switch (setting.kind) {
    case "size":
      return parseSize(given);
    case "time":
      return parseTime(given);
    case "count": {
      const value = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
      if (typeof value === "number" && Number.isSafeInteger(value)) return { value };
      return { problem: `${describeValue(given)} is not a whole number` };
    }
    case "boolean": {
      if (typeof given === "boolean") return { value: given };
      const value = { true: true, yes: true, "1": true, false: false, no: false, "0": false }[String(given)];
      return value === undefined ? { problem: `${describeValue(given)} is not true or false` } : { value };
    }
    case "choice":
      if ((setting.choices ?? []).includes(String(given))) return { value: String(given) };
      return { problem: `${describeValue(given)} is not one of ${(setting.choices ?? []).join(", ")}` };
    case "path":
      return expandVariables(String(given), environment);
    case "text":
      return { value: String(given) };
  }
}

/** `$NAME` and `${NAME}` in a path become the variable's value; one that is not set is an error, not nothing. */
export function expandVariables(
  path: string,
  environment: Readonly<Record<string, string | undefined>>,
): { value: string } | { problem: string } {
  let missing: string | undefined;
  const value = path.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_whole, braced?: string, plain?: string) => {
    const name = braced ?? plain ?? "";
    const found = environment[name];
    if (found === undefined || found === "") missing ??= name;
    return found ?? "";
  });
  if (missing !== undefined) return { problem: `${describeValue(path)} uses $${missing}, which is not set` };
  if (value === "") return { problem: "a path is empty" };
  return { value };
}
