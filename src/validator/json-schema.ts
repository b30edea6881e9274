/** JSON Schema for metadata, compiled by ajv. Pure; any thread. */
import { Ajv, type ErrorObject, type Options } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { shown } from "./shown.js";

/** Drafts 7 (the default) and 2020-12 (by `$schema`); `format` says something to readers only. */
export type JsonSchema = object;

const options: Options = {
  strict: true,
  strictTypes: false,
  strictTuples: false,
  allowUnionTypes: true,
  validateFormats: false,
  verbose: true,
};
const newer = /draft\/(2019-09|2020-12)\//;

/** Checks metadata: why it does not meet the schema, naming the field; undefined: it does. */
export type SchemaCheck = (metadata: unknown) => string | undefined;

/** What is wrong in a schema, in words. */
export function problemOfSchema(schema: unknown): string | undefined {
  try {
    compileSchema(schema as JsonSchema);
    return undefined;
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
}

/** Throws what ajv throws if the schema is not valid. */
export function compileSchema(schema: JsonSchema): SchemaCheck {
  if ((typeof schema !== "object" || schema === null) && typeof schema !== "boolean")
    throw new Error("a JSON Schema is an object, true or false");
  const { $schema } = schema as { $schema?: unknown };
  const ajv = typeof $schema === "string" && newer.test($schema) ? new Ajv2020(options) : new Ajv(options);
  const validate = ajv.compile(schema);
  if ("$async" in validate) throw new Error("an asynchronous schema cannot check metadata as it is pushed");
  return (metadata) => {
    if (validate(metadata) === true) return undefined;
    const [error] = validate.errors ?? [];
    return error === undefined ? "it does not meet the schema" : wordsOf(error);
  };
}

function wordsOf(error: ErrorObject): string {
  const { instancePath, keyword, message, params, data } = error;
  const field = `metadata${instancePath.replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~")}`;
  const parameters = params as Record<string, unknown>;
  switch (keyword) {
    case "required":
      return `${field}.${String(parameters["missingProperty"])} is not there`;
    case "additionalProperties":
    case "unevaluatedProperties":
      return `${field}.${String(parameters["additionalProperty"] ?? parameters["unevaluatedProperty"])} is not in the schema`;
    case "enum":
      return `${field} is ${shown(data)}; it must be one of ${shown(parameters["allowedValues"])}`;
    case "const":
      return `${field} is ${shown(data)}; it must be ${shown(parameters["allowedValue"])}`;
    default:
      return `${field} is ${shown(data)}; it ${message ?? `fails ${keyword}`}`;
  }
}
