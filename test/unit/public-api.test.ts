// The public API documents itself: every member of every exported class has words, every call that returns a promise says
// whether it is local or collective, and every class and function is shown in an example.
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const index = fileURLToPath(new URL("../../src/index.ts", import.meta.url));
const program = ts.createProgram([index], {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  noEmit: true,
});
const checker = program.getTypeChecker();

interface Documented {
  readonly name: string;
  readonly words: string;
  readonly hasExample: boolean;
  readonly isInternal: boolean;
}

function documented(name: string, node: ts.Node): Documented {
  const comments = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText());
  const words = comments.join("\n");
  return { name, words, hasExample: words.includes("@example"), isInternal: words.includes("@internal") };
}

function exported(): { name: string; declaration: ts.Declaration }[] {
  const source = program.getSourceFile(index);
  const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${index} is not a module`);
  return checker.getExportsOfModule(module).flatMap((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declaration = target.valueDeclaration ?? target.declarations?.[0];
    return declaration === undefined ? [] : [{ name: symbol.name, declaration }];
  });
}

function isPublic(member: ts.ClassElement): boolean {
  if (member.name === undefined || ts.isPrivateIdentifier(member.name)) return false;
  return (ts.getCombinedModifierFlags(member) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) === 0;
}

function returnsPromise(member: ts.Node): boolean {
  if (!ts.isMethodDeclaration(member) && !ts.isFunctionDeclaration(member)) return false;
  const signature = checker.getSignatureFromDeclaration(member);
  const type = signature === undefined ? "" : checker.typeToString(checker.getReturnTypeOfSignature(signature));
  return /^(Promise|Async(Generator|Iterator))</.test(type);
}

const classes = exported().flatMap(({ name, declaration }) =>
  ts.isClassDeclaration(declaration) ? [{ name, declaration }] : [],
);
const functions = exported().flatMap(({ name, declaration }) =>
  ts.isFunctionDeclaration(declaration) ? [{ name, declaration }] : [],
);
const members = classes.flatMap(({ name, declaration }) =>
  declaration.members
    .filter(isPublic)
    .map((member) => ({ ...documented(`${name}.${member.name?.getText() ?? ""}`, member), member })),
);

describe("the public API", () => {
  it("is what this test sees", () => {
    expect(classes.map(({ name }) => name)).toEqual(expect.arrayContaining(["Job", "Consumer", "Region", "Server"]));
    expect(functions.map(({ name }) => name)).toEqual(expect.arrayContaining(["join", "attach", "serve", "box"]));
    expect(members.length).toBeGreaterThan(80);
  });

  it("has words for every class, function and member", () => {
    const all = [
      ...[...classes, ...functions].map(({ name, declaration }) => documented(name, declaration)),
      ...members,
    ];
    expect(all.filter(({ words }) => words === "").map(({ name }) => name)).toEqual([]);
  });

  it("says of every call that returns a promise whether it is local or collective", () => {
    const calls = [
      ...members.filter(({ member, isInternal }) => !isInternal && returnsPromise(member)),
      ...functions
        .filter(({ declaration }) => returnsPromise(declaration))
        .map(({ name, declaration }) => documented(name, declaration)),
    ];
    expect(calls.length).toBeGreaterThan(25);
    expect(calls.filter(({ words }) => !/local|collective/i.test(words)).map(({ name }) => name)).toEqual([]);
  });

  it("shows an example of every class and every function that is asynchronous", () => {
    const without = classes
      .filter(({ name, declaration }) => {
        const own = members.filter((member) => member.name.startsWith(`${name}.`));
        return !documented(name, declaration).hasExample && !own.some(({ hasExample }) => hasExample);
      })
      .map(({ name }) => name);
    const silent = functions
      .filter(({ name, declaration }) => returnsPromise(declaration) && !documented(name, declaration).hasExample)
      .map(({ name }) => name);
    expect([...without, ...silent]).toEqual([]);
  });
});
