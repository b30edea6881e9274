/** What a topic demands of metadata before it is sent: its forms in a topic's config, their check, the functions. */
import { type EventPattern, compilePattern, problemOfPattern } from "./event-pattern.js";
import { type JsonSchema, compileSchema, problemOfSchema } from "./json-schema.js";
import type { ModuleConfig } from "../config/module-config.js";

/** The data of an event, as validators and partition selectors see it. */
export interface DataDescription {
  /** All bytes. */
  readonly bytes: number;
  /** Pieces of memory that it lies in. */
  readonly segments: number;
}

/** True: the event may be sent. A text says why not; false does without saying. Must not be asynchronous. */
export type Validate<Metadata = unknown> = (metadata: Metadata, data: DataDescription) => boolean | string;

/**
 * A JSON Schema, an event pattern (docs/topics.md), a module whose export makes a `Validate`, or "custom": each producer
 * gives its own.
 */
export type ValidatorConfig = { schema: JsonSchema } | { pattern: EventPattern } | ModuleConfig | "custom";

export interface ValidatorProblem {
  readonly path: (string | number)[];
  readonly message: string;
}

/** What is wrong with a schema or a pattern; the rest is checked as members of the config. */
export function problemOfValidator(config: ValidatorConfig): ValidatorProblem | undefined {
  if (typeof config !== "object") return undefined;
  if ("schema" in config) {
    const message = problemOfSchema(config.schema);
    return message === undefined ? undefined : { path: ["schema"], message };
  }
  if (!("pattern" in config)) return undefined;
  const problem = problemOfPattern(config.pattern);
  return problem === undefined ? undefined : { path: ["pattern", ...problem.path], message: problem.message };
}

/** The function of a schema or a pattern. */
export function compileValidator(config: { schema: JsonSchema } | { pattern: EventPattern }): Validate {
  const check = "schema" in config ? compileSchema(config.schema) : compilePattern(config.pattern);
  return (metadata) => check(metadata) ?? true;
}
