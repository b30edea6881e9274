/** What metadata must meet before anything of an event is sent: the topic's validator, then the producer's own. */
import { isModuleConfig } from "../config/module-config.js";
import { forget } from "../check.js";
import { WeftError, wordsOf } from "../errors.js";
import type { TopicContext } from "../topic/context.js";
import { loadValidator, typeOf } from "../topic/modules.js";
import { type Validate, type ValidatorConfig, compileValidator } from "../validator/validator.js";
import type { Segment } from "./batch-arena.js";
import { valueOf } from "./metadata.js";
import { describeData } from "./segments.js";

export interface NamedValidator<Metadata> {
  /** For messages: "the validator of topic 'quakes'". */
  readonly name: string;
  readonly validate: Validate<Metadata>;
  /** What to do about a rejection. */
  readonly next: string;
}

/** Those of a producer of the topic. WEFT_MODULE; WEFT_UNSUPPORTED where the topic demands one that `own` has to be. */
export async function loadValidators<Metadata>(
  topic: TopicContext,
  own: Validate<Metadata> | undefined,
): Promise<NamedValidator<Metadata>[]> {
  const { validator, allowUnvalidated } = topic.description;
  const validators: NamedValidator<Metadata>[] = [];
  if (validator === "custom") {
    if (own === undefined && !allowUnvalidated) {
      throw new WeftError("WEFT_UNSUPPORTED", `topic '${topic.name}' has a validator, and the producer has none`, {
        next: "give validate in the producer's options, or let the topic allow unvalidated events",
      });
    }
  } else if (validator !== undefined) {
    validators.push({
      name: `the validator of topic '${topic.name}'`,
      validate: await topicValidator(topic.name, validator),
      next: "correct the metadata",
    });
  }
  if (own !== undefined) {
    validators.push({
      name: `the validator of this producer of topic '${topic.name}'`,
      validate: own,
      next: "correct the metadata, or the validate function of the producer's options",
    });
  }
  return validators;
}

async function topicValidator(topicName: string, config: Exclude<ValidatorConfig, "custom">): Promise<Validate> {
  if (isModuleConfig(config)) return await loadValidator(topicName, config);
  // The catalogue may be of a later version.
  if ("schema" in config || "pattern" in config) return compileValidator(config);
  const form = Object.keys(config).join(", ");
  throw new WeftError("WEFT_UNSUPPORTED", `topic '${topicName}' has a validator of a form that is not known: ${form}`, {
    next: "use the version of Weftline that created it, or a newer one",
  });
}

/** WEFT_VALIDATOR_REJECTED, with what the validator said; WEFT_INVALID_ARGUMENT if it said neither yes nor no. */
export function validate<Metadata>(
  validators: readonly NamedValidator<Metadata>[],
  metadata: Metadata,
  segments: readonly Segment[],
): void {
  const data = describeData(segments);
  const value = valueOf(metadata);
  for (const { name, validate: check, next } of validators) {
    let verdict: unknown;
    try {
      verdict = check(value, data);
    } catch (cause) {
      const why = wordsOf(cause);
      throw new WeftError("WEFT_VALIDATOR_REJECTED", `${name} threw: ${why}`, { cause, next });
    }
    if (verdict === true) continue;
    if (verdict === false || typeof verdict === "string") {
      const why = verdict === false ? "it says no more than that" : verdict;
      throw new WeftError("WEFT_VALIDATOR_REJECTED", `${name} rejected an event: ${why}`, { next });
    }
    forget(verdict);
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `${name} returned ${typeOf(verdict)}, neither true, false nor a text`,
      {
        next: "let it return true, or why not; it cannot be asynchronous",
      },
    );
  }
}
