// The requests of docs/formats/control.md: their shapes and the check of what arrives. Pure.

import { Ajv, type ValidateFunction } from "ajv";
import { WeftError } from "../errors.js";
import { formatPath, problemOfName, problemsOf, TOPIC_NAME_PATTERN, type TopicConfig } from "../config/topic-config.js";
import { nearest } from "../config/units.js";
import type { TopicChange } from "./topic-change.js";
import type { TopicDescription } from "./topic-description.js";

export const CONTROL_BYTES_MAX = 48 * 1024;
export const PARTITIONS_PER_REQUEST_MAX = 256;
export const REQUESTS_UNDER_WAY_MAX = 64;

export type ControlRequest =
  | { op: "ping" }
  | { op: "status" }
  | { op: "server.stop" }
  | { op: "clients.gone" }
  | { op: "topic.create"; name: string; config?: TopicConfig; requestId?: string; ifExists?: "fail" | "open" }
  | { op: "topic.list"; after?: string; limit?: number }
  | { op: "topic.describe"; name: string }
  | { op: "topic.delete"; name: string }
  | { op: "topic.seal"; name: string }
  | { op: "topic.alter"; name: string; change: TopicChange }
  | { op: "partition.create"; topic: TopicDescription; partitions: number[] }
  | { op: "partition.alter"; topic: TopicDescription; partitions: number[] }
  | { op: "partition.remove"; name: string; uuid: string; partitions: number[] }
  | { op: "partition.state"; uuid: string; partitions: number[] }
  | { op: "partition.list"; after?: string };

const NAME = { type: "string", pattern: TOPIC_NAME_PATTERN };
const UUID = { type: "string", pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" };
const PARTITIONS = {
  type: "array",
  items: { type: "integer", minimum: 0, maximum: 4095 },
  minItems: 1,
  maxItems: PARTITIONS_PER_REQUEST_MAX,
};

const TOPIC = {
  type: "object",
  required: ["name", "uuid", "createdAt", "partitions", "storage", "durability", "serializer", "slots"],
  properties: { name: NAME, uuid: UUID },
};

function shape(properties: object, required: string[] = []): object {
  return {
    type: "object",
    additionalProperties: false,
    required,
    properties: { op: { type: "string" }, ...properties },
  };
}

// The config of topic.create and the change of topic.alter are checked where they are used, with errors of their own.
const SHAPES: Readonly<Record<ControlRequest["op"], object>> = {
  ping: shape({}),
  status: shape({}),
  "server.stop": shape({}),
  "clients.gone": shape({}),
  "topic.create": shape(
    {
      name: { type: "string" },
      config: { type: "object" },
      requestId: { type: "string", minLength: 1, maxLength: 64 },
      ifExists: { enum: ["fail", "open"] },
    },
    ["name"],
  ),
  "topic.list": shape({ after: { type: "string" }, limit: { type: "integer", minimum: 1, maximum: 200 } }),
  "topic.describe": shape({ name: { type: "string" } }, ["name"]),
  "topic.delete": shape({ name: { type: "string" } }, ["name"]),
  "topic.seal": shape({ name: { type: "string" } }, ["name"]),
  "topic.alter": shape({ name: { type: "string" }, change: { type: "object" } }, ["name", "change"]),
  "partition.create": shape({ topic: TOPIC, partitions: PARTITIONS }, ["topic", "partitions"]),
  "partition.alter": shape({ topic: TOPIC, partitions: PARTITIONS }, ["topic", "partitions"]),
  "partition.remove": shape({ name: NAME, uuid: UUID, partitions: PARTITIONS }, ["name", "uuid", "partitions"]),
  "partition.state": shape({ uuid: UUID, partitions: PARTITIONS }, ["uuid", "partitions"]),
  "partition.list": shape({ after: { type: "string", maxLength: 256 } }),
};

// Each compiled when it is first asked for, which clients never do: all of them at the start took a tenth of it.
let ajv: Ajv | undefined;
const validators = new Map<string, ValidateFunction>();
function validatorOf(op: string): ValidateFunction | undefined {
  if (!Object.hasOwn(SHAPES, op)) return undefined;
  ajv ??= new Ajv({ verbose: true, strict: true, strictRequired: false });
  const validate = validators.get(op) ?? ajv.compile(SHAPES[op as ControlRequest["op"]]);
  validators.set(op, validate);
  return validate;
}

function invalid(message: string): WeftError {
  return new WeftError("WEFT_INVALID_ARGUMENT", message, { next: "see docs/formats/control.md for the requests" });
}

/** The request in a text; WEFT_INVALID_ARGUMENT naming what is wrong. */
export function parseControlRequest(text: string): ControlRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(`a control request of ${text.length} characters is not JSON: ${(cause as Error).message}`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw invalid("a control request is not a JSON object");
  }
  const op = (value as { op?: unknown }).op;
  if (typeof op !== "string") throw invalid("a control request has no text member 'op'");
  const validate = validatorOf(op);
  if (!validate) {
    const known = Object.keys(SHAPES);
    const guess = nearest(op, known);
    throw invalid(
      `unknown control operation '${op.slice(0, 80)}'; ${guess ? `did you mean '${guess}'?` : `known: ${known.join(", ")}`}`,
    );
  }
  if (!validate(value)) {
    const [problem] = problemsOf(validate.errors ?? [], value);
    throw invalid(`${op}: ${problem ? `${formatPath(problem.path)}: ${problem.message}` : "not valid"}`);
  }
  const request = value as ControlRequest;
  if (request.op === "topic.create") {
    const problem = problemOfName(request.name);
    if (problem) throw invalid(`${op}: name: ${problem}`);
  }
  return request;
}
