// What `weftline config explain` shows: each setting's value, where it comes from, its unit and what it means.

import type { Configuration, ResolvedSetting } from "./load.js";
import { SETTINGS, unitOf } from "./settings.js";
import { formatSize, formatTime } from "./units.js";

export function formatValue({ setting, value }: Pick<ResolvedSetting, "setting" | "value">): string {
  if (value === undefined) return "-";
  if (setting.kind === "size" && typeof value === "number") return formatSize(value);
  if (setting.kind === "time" && typeof value === "number") return formatTime(value);
  return String(value);
}

export interface ExplainedSetting {
  setting: string;
  value: string | number | boolean | null;
  source: string;
  origin: string;
  environment: string;
  unit: string;
  meaning: string;
}

export function explain(configuration: Configuration): ExplainedSetting[] {
  return configuration.settings.map(({ setting, value, source, origin }) => ({
    setting: setting.path,
    value: value ?? null,
    source,
    origin,
    environment: setting.environment,
    unit: unitOf(setting),
    meaning: setting.meaning,
  }));
}

export function explainText(configuration: Configuration): string {
  const lines: string[] = [];
  lines.push(
    configuration.files.length === 0 ? "no configuration file is read" : `read: ${configuration.files.join(", ")}`,
    "",
  );
  for (const resolved of configuration.settings) {
    const { setting, source, origin } = resolved;
    const from = source === "default" ? "default" : `${source}: ${origin}`;
    lines.push(`${setting.path} = ${formatValue(resolved)}   (${from})`);
    lines.push(`    ${setting.meaning}; ${unitOf(setting)}; ${setting.environment}`);
  }
  const names = Object.keys(configuration.topics);
  for (const name of names) {
    const origin = configuration.topicOrigins[name];
    lines.push(
      `topics.${name} = ${JSON.stringify(configuration.topics[name])}   (${origin?.source ?? ""}: ${origin?.origin ?? ""})`,
    );
  }
  for (const [section, value] of Object.entries(configuration.plan)) {
    lines.push(`${section} = ${JSON.stringify(value)}   (file: ${configuration.planOrigins[section] ?? ""})`);
  }
  if (names.length === 0) lines.push("topics = {}   (default)", "    topics that exist once the server runs");
  return `${lines.join("\n")}\n`;
}

/** The table of docs/configuration.md, which a test compares. */
export function settingsTable(): string {
  const rows = SETTINGS.map((setting) => {
    const value = setting.default === undefined ? "" : formatValue({ setting, value: setting.default });
    return `| \`${setting.path}\` | \`${setting.environment}\` | ${value} | ${unitOf(setting)} | ${setting.meaning} |`;
  });
  return ["| setting | environment | default | values | meaning |", "|---|---|---|---|---|", ...rows].join("\n");
}
