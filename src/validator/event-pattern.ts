/**
 * Event patterns as Amazon EventBridge defines them
 * (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html), compiled to one function.
 * Pure; any thread.
 *
 * A pattern has the shape of the metadata it takes. Where it has a list, a value has to meet one of its members; all
 * fields that a pattern names have to meet theirs. Of a list in the metadata one member is enough; of a list of objects
 * one object has to meet the whole of its part.
 */
import { shown } from "./shown.js";

/** A member of a list: a value that is met exactly, or an operator. */
export type PatternMember =
  | string
  | number
  | boolean
  | null
  | { prefix: string | IgnoreCase }
  | { suffix: string | IgnoreCase }
  | IgnoreCase
  | { wildcard: string }
  | { numeric: readonly (string | number)[] }
  | { exists: boolean }
  | { "anything-but": AnythingBut };
interface IgnoreCase {
  "equals-ignore-case": string;
}
type OneOrMore = string | readonly string[];
type AnythingBut =
  | string
  | number
  | readonly (string | number)[]
  | { prefix: OneOrMore }
  | { suffix: OneOrMore }
  | { "equals-ignore-case": OneOrMore }
  | { wildcard: OneOrMore };

/** Fields of metadata, and what they have to meet; a list of patterns only under `$or`. */
export interface EventPattern {
  readonly [field: string]: EventPattern | readonly (PatternMember | EventPattern)[];
}

/** Why metadata does not meet the pattern, naming the field; undefined: it does. */
export type PatternCheck = (metadata: unknown) => string | undefined;

/** What is wrong in a pattern, at which place of it. */
export interface PatternProblem {
  readonly path: (string | number)[];
  readonly message: string;
}

/** Tests one value that is no object: undefined stands for a field that is not there. */
type LeafTest = (value: unknown) => boolean;
type Place = readonly (string | number)[];

class Wrong extends Error {
  constructor(
    readonly path: Place,
    message: string,
  ) {
    super(message);
  }
}

const fieldsMax = 1000;

export function problemOfPattern(pattern: unknown): PatternProblem | undefined {
  try {
    compile(pattern, [], { left: fieldsMax });
    return undefined;
  } catch (error) {
    if (error instanceof Wrong) return { path: [...error.path], message: error.message };
    throw error;
  }
}

/** The pattern has to be valid (`problemOfPattern`). */
export function compilePattern(pattern: EventPattern): PatternCheck {
  const check = compile(pattern, [], { left: fieldsMax });
  return (metadata) => check(metadata, "metadata");
}

type Check = (value: unknown, name: string) => string | undefined;

function compile(pattern: unknown, path: Place, budget: { left: number }): Check {
  if (!isObject(pattern)) throw new Wrong(path, "a pattern is an object of fields");
  const entries = Object.entries(pattern);
  if (entries.length === 0) throw new Wrong(path, "names no field");
  const checks = entries.map(([field, part]) => {
    if (--budget.left < 0) throw new Wrong(path, `the pattern has more than ${fieldsMax} fields`);
    return field === "$or" && isListOfObjects(part)
      ? compileOr(part, [...path, field], budget)
      : compileField(field, part, [...path, field], budget);
  });
  const [only] = checks;
  if (checks.length === 1 && only !== undefined) return only;
  return (value, name) => {
    for (const check of checks) {
      const problem = check(value, name);
      if (problem !== undefined) return problem;
    }
    return undefined;
  };
}

function compileOr(alternatives: readonly object[], path: Place, budget: { left: number }): Check {
  const checks = alternatives.map((one, index) => compile(one, [...path, index], budget));
  return (value, name) => {
    let first: string | undefined;
    for (const check of checks) {
      const problem = check(value, name);
      if (problem === undefined) return undefined;
      first ??= problem;
    }
    return `none of ${checks.length} alternatives is met; of the first: ${first}`;
  };
}

function compileField(field: string, part: unknown, path: Place, budget: { left: number }): Check {
  const at = (value: unknown): unknown => (isObject(value) && Object.hasOwn(value, field) ? value[field] : undefined);
  if (Array.isArray(part)) {
    const test = compileMembers(part, path);
    const wanted = JSON.stringify(part);
    return (value, name) => {
      const found = at(value);
      if (Array.isArray(found) ? anyLeaf(found, test) : test(leafOf(found))) return undefined;
      return `${name}.${field} ${found === undefined ? "is not there" : `is ${shown(found)}`}; it has to meet ${wanted}`;
    };
  }
  const check = compile(part, path, budget);
  return (value, name) => {
    const found = at(value);
    const inner = `${name}.${field}`;
    if (!Array.isArray(found)) return check(found, inner);
    let first: string | undefined;
    for (const [index, one] of found.entries()) {
      const problem = check(one, `${inner}[${index}]`);
      if (problem === undefined) return undefined;
      first ??= problem;
    }
    return first ?? check(undefined, inner);
  };
}

/** Of a list one member is enough; an empty list is as a field that is not there. */
function anyLeaf(values: readonly unknown[], test: LeafTest): boolean {
  const leaves = values.flat(Infinity).filter((one) => !isObject(one));
  return leaves.length === 0 ? test(undefined) : leaves.some((one) => test(leafOf(one)));
}

/** An object is no leaf; the integers of packed records are numbers. */
function leafOf(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return isObject(value) ? undefined : value;
}

function compileMembers(members: readonly unknown[], path: Place): LeafTest {
  if (members.length === 0) throw new Wrong(path, "an empty list is met by nothing");
  const exact = new Set<unknown>();
  const tests: LeafTest[] = [];
  for (const [index, member] of members.entries()) {
    if (isObject(member)) tests.push(compileOperator(member, [...path, index]));
    else if (Array.isArray(member) || !isLiteral(member)) {
      throw new Wrong([...path, index], "is no text, number, true, false, null or operator");
    } else exact.add(member);
  }
  const [only] = tests;
  if (exact.size === 0 && tests.length === 1 && only !== undefined) return only;
  return (value) => exact.has(value) || tests.some((test) => test(value));
}

const operatorNames = [...["prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "exists", "anything-but"]];

function compileOperator(operator: Record<string, unknown>, path: Place): LeafTest {
  const [name, ...more] = Object.keys(operator);
  if (name === undefined || more.length > 0 || !operatorNames.includes(name)) {
    const given = Object.keys(operator).join(", ");
    throw new Wrong(path, `"${given}" is not one of the operators ${operatorNames.join(", ")}`);
  }
  const operand = operator[name];
  const here = [...path, name];
  switch (name) {
    case "exists":
      if (typeof operand !== "boolean") throw new Wrong(here, "wants true or false");
      return (value) => (value !== undefined) === operand;
    case "numeric":
      return compileNumeric(operand, here);
    case "anything-but":
      return compileAnythingBut(operand, here);
    default:
      return onText(compileText(name, operand, here));
  }
}

type TextTest = (text: string) => boolean;
const onText =
  (test: TextTest): LeafTest =>
  (value) =>
    typeof value === "string" && test(value);

function compileText(name: string, operand: unknown, path: Place): TextTest {
  if (isObject(operand) && (name === "prefix" || name === "suffix") && Object.keys(operand).length === 1) {
    const wanted = lower(textOf(operand["equals-ignore-case"], [...path, "equals-ignore-case"]));
    return name === "prefix" ? (text) => lower(text).startsWith(wanted) : (text) => lower(text).endsWith(wanted);
  }
  const wanted = textOf(operand, path);
  switch (name) {
    case "prefix":
      return (text) => text.startsWith(wanted);
    case "suffix":
      return (text) => text.endsWith(wanted);
    case "equals-ignore-case": {
      const lowered = lower(wanted);
      return (text) => lower(text) === lowered;
    }
    default:
      return compileWildcard(wanted, path);
  }
}

const lower = (text: string): string => text.toLowerCase();

function textOf(operand: unknown, path: Place): string {
  if (typeof operand !== "string") throw new Wrong(path, "wants a text");
  return operand;
}

/** `*` stands for any text; `\*` and `\\` for themselves. In time proportional to the text times the pieces. */
function compileWildcard(wildcard: string, path: Place): TextTest {
  const pieces: string[] = [""];
  for (let at = 0; at < wildcard.length; at++) {
    let unit = wildcard.charAt(at);
    if (unit === "*") {
      if (wildcard.charAt(at + 1) === "*") throw new Wrong(path, "has two * in a row");
      pieces.push("");
      continue;
    }
    if (unit === "\\") {
      unit = wildcard.charAt(++at);
      if (unit !== "*" && unit !== "\\") throw new Wrong(path, "has a \\ before something else than * or \\");
    }
    pieces[pieces.length - 1] += unit;
  }
  const first = pieces[0] ?? "";
  const last = pieces.at(-1) ?? "";
  if (pieces.length === 1) return (text) => text === first;
  const middle = pieces.slice(1, -1);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let at = first.length;
    for (const piece of middle) {
      const found = text.indexOf(piece, at);
      if (found < 0 || found + piece.length > end) return false;
      at = found + piece.length;
    }
    return true;
  };
}

const comparisons: Readonly<Record<string, (value: number, limit: number) => boolean>> = {
  "=": (value, limit) => value === limit,
  "<": (value, limit) => value < limit,
  "<=": (value, limit) => value <= limit,
  ">": (value, limit) => value > limit,
  ">=": (value, limit) => value >= limit,
};

function compileNumeric(operand: unknown, path: Place): LeafTest {
  const wanted = 'wants one or two comparisons, such as [">", 0, "<=", 5]';
  if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4)) throw new Wrong(path, wanted);
  const tests: ((value: number) => boolean)[] = [];
  for (let at = 0; at < operand.length; at += 2) {
    const compare = comparisons[String(operand[at])];
    const limit: unknown = operand[at + 1];
    if (compare === undefined || typeof limit !== "number" || !Number.isFinite(limit)) throw new Wrong(path, wanted);
    tests.push((value) => compare(value, limit));
  }
  return (value) => typeof value === "number" && tests.every((test) => test(value));
}

function compileAnythingBut(operand: unknown, path: Place): LeafTest {
  const isThere =
    (test: LeafTest): LeafTest =>
    (value) =>
      value !== undefined && !test(value);
  if (isObject(operand)) {
    const [name, ...more] = Object.keys(operand);
    if (
      name === undefined ||
      more.length > 0 ||
      !["prefix", "suffix", "equals-ignore-case", "wildcard"].includes(name)
    ) {
      throw new Wrong(path, "wants a value, a list, or prefix, suffix, equals-ignore-case or wildcard");
    }
    const given = operand[name];
    const all = (Array.isArray(given) ? given : [given]) as unknown[];
    if (all.length === 0) throw new Wrong([...path, name], "is an empty list");
    const tests = all.map((one) => compileText(name, one, [...path, name]));
    return isThere(onText((text) => tests.some((test) => test(text))));
  }
  const all = (Array.isArray(operand) ? operand : [operand]) as unknown[];
  if (all.length === 0) throw new Wrong(path, "is an empty list");
  for (const one of all) {
    if (typeof one !== "string" && typeof one !== "number") throw new Wrong(path, "wants texts or numbers");
  }
  const excluded = new Set(all);
  return isThere((value) => excluded.has(value));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
function isListOfObjects(value: unknown): value is object[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => isObject(one) && !isOperator(one));
}
function isOperator(value: Record<string, unknown>): boolean {
  const names = Object.keys(value);
  return names.length === 1 && operatorNames.includes(names[0] ?? "");
}
function isLiteral(value: unknown): boolean {
  return value === null || ["string", "number", "boolean"].includes(typeof value);
}
