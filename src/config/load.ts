// Brings the sources of settings together, in this order: flag, environment, file (WEFTLINE_CONFIG or ./weftline.yaml),
// site (/etc/weftline.yaml), default. Remembers for each value where it came from.

import { dirname, resolve } from "node:path";
import { WeftError } from "../errors.js";
import { withAbsoluteModules } from "../topic/modules.js";
import { type ConfigFile, readConfigFile } from "./file.js";
import { PLAN_SECTIONS, type PlanConfig } from "./plan-config.js";
import { parseSetting, type Setting, SETTINGS, type SettingValue } from "./settings.js";
import type { TopicConfig } from "./topic-config.js";

export type Source = "flag" | "environment" | "file" | "site" | "default";

export interface ResolvedSetting {
  readonly setting: Setting;
  readonly value: SettingValue | undefined;
  readonly source: Source;
  /** "--data", "WEFTLINE_DATA", "weftline.yaml:4:13"; "" for a default. */
  readonly origin: string;
}

export interface LoadOptions {
  /** By path ("server.data"); `flag` is how the user wrote it. */
  flags?: Readonly<Record<string, { value: unknown; flag: string } | undefined>>;
  environment?: Readonly<Record<string, string | undefined>>;
  /** Of `--config`; must exist then. */
  file?: string | undefined;
  directory?: string;
  siteFile?: string;
}

export class Configuration {
  constructor(
    readonly settings: readonly ResolvedSetting[],
    readonly topics: Readonly<Record<string, TopicConfig>>,
    /** Where each topic came from. */
    readonly topicOrigins: Readonly<Record<string, { source: Source; origin: string }>>,
    readonly files: readonly string[],
    /** The launch plan, as far as the file has one. */
    readonly plan: PlanConfig = {},
    /** Where each of its sections stands. */
    readonly planOrigins: Readonly<Record<string, string>> = {},
  ) {}

  private find(path: string): ResolvedSetting {
    const found = this.settings.find(({ setting }) => setting.path === path);
    if (!found) throw new Error(`there is no setting ${path}`);
    return found;
  }
  text(path: string): string | undefined {
    const { value } = this.find(path);
    return value === undefined ? undefined : String(value);
  }
  number(path: string): number | undefined {
    const { value } = this.find(path);
    return typeof value === "number" ? value : undefined;
  }
  /** Only if somebody set it: the library has the default itself. */
  numberIfSet(path: string): number | undefined {
    return this.find(path).source === "default" ? undefined : this.number(path);
  }
  boolean(path: string): boolean {
    return this.find(path).value === true;
  }
}

export const SITE_FILE = "/etc/weftline.yaml";
export const LOCAL_FILE = "weftline.yaml";

export function loadConfiguration(options: LoadOptions = {}): Configuration {
  const environment = options.environment ?? process.env;
  const directory = options.directory ?? process.cwd();
  const named = options.file ?? (environment["WEFTLINE_CONFIG"] || undefined);
  const file =
    named === undefined
      ? readConfigFile(resolve(directory, LOCAL_FILE), false)
      : readConfigFile(resolve(directory, named), true);
  const site = readConfigFile(options.siteFile ?? SITE_FILE, false);
  const settings = SETTINGS.map((setting) => resolveSetting(setting, options.flags ?? {}, environment, file, site));
  const topics: Record<string, TopicConfig> = {};
  const topicOrigins: Record<string, { source: Source; origin: string }> = {};
  for (const [source, from] of [
    ["site", site],
    ["file", file],
  ] as const) {
    for (const [name, config] of Object.entries(from?.values.topics ?? {})) {
      // A topic of the file stands for the whole of the site's.
      topics[name] = withAbsoluteModules(config, dirname(from?.path ?? directory));
      topicOrigins[name] = { source, origin: from?.position(["topics", name]) ?? "" };
    }
  }
  return new Configuration(
    settings,
    topics,
    topicOrigins,
    [file, site].flatMap((each) => (each ? [each.path] : [])),
    ...planOf(file),
  );
}

function planOf(file: ConfigFile | undefined): [PlanConfig, Record<string, string>] {
  const there = PLAN_SECTIONS.filter((section) => file?.values[section] !== undefined);
  return [
    Object.fromEntries(there.map((section) => [section, file?.values[section]])),
    Object.fromEntries(there.map((section) => [section, file?.position([section]) ?? ""])),
  ];
}

function resolveSetting(
  setting: Setting,
  flags: NonNullable<LoadOptions["flags"]>,
  environment: Readonly<Record<string, string | undefined>>,
  file: ConfigFile | undefined,
  site: ConfigFile | undefined,
): ResolvedSetting {
  const candidates: { source: Source; origin: string; given: unknown }[] = [];
  const flag = flags[setting.path];
  if (flag && flag.value !== undefined) candidates.push({ source: "flag", origin: flag.flag, given: flag.value });
  const variable = environment[setting.environment];
  if (variable !== undefined && variable !== "") {
    candidates.push({ source: "environment", origin: setting.environment, given: variable });
  }
  const [section = "", member = ""] = setting.path.split(".");
  for (const [source, from] of [
    ["file", file],
    ["site", site],
  ] as const) {
    const given = from?.setting(setting.path);
    if (from && given !== undefined && given !== null) {
      candidates.push({ source, origin: from.position([section, member]), given });
    }
  }
  const [first] = candidates;
  if (!first) return { setting, value: setting.default, source: "default", origin: "" };
  const parsed = parseSetting(setting, first.given, environment);
  if ("problem" in parsed) {
    throw new WeftError("WEFT_CONFIG_INVALID", `${first.origin}: ${setting.path}: ${parsed.problem}`, {
      next: "correct that value",
    });
  }
  return { setting, value: parsed.value, source: first.source, origin: first.origin };
}
