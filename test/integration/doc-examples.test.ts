// Every @example of the sources, and every TypeScript in docs/topics.md, docs/producing.md, docs/consuming.md, docs/steps.md and
// docs/workers.md, compiles as a user would compile it, and runs against a server. What an example only
// mentions (job, topic, out, consumer, event, temperature) is made for it; a server that an example starts gets a directory
// of its own and is closed at once, so that `await server.closed` comes to an end.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import * as weftline from "../../src/index.js";
import { Workplace } from "./support/weftline.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Example {
  readonly name: string;
  readonly code: string;
}

function examplesOf(file: string): Example[] {
  const text = readFileSync(`${root}src/${file}`, "utf8");
  return [...text.matchAll(/@example\n([\s\S]*?)\*\//g)].map(({ 1: block = "", index }) => {
    const plain = block.replace(/^ *\* ?/gm, "");
    const code = /^```ts\n([\s\S]*?)^```/m.exec(plain)?.[1] ?? "";
    return { name: `src/${file}:${text.slice(0, index).split("\n").length}`, code };
  });
}

function examplesOfPage(file: string): Example[] {
  const text = readFileSync(`${root}${file}`, "utf8");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(({ 1: code = "", index }) => ({
    name: `${file}:${text.slice(0, index).split("\n").length}`,
    code,
  }));
}

const examples = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .sort()
  .flatMap(examplesOf)
  .concat(
    examplesOfPage("docs/topics.md"),
    examplesOfPage("docs/producing.md"),
    examplesOfPage("docs/consuming.md"),
    examplesOfPage("docs/steps.md"),
    examplesOfPage("docs/workers.md"),
  );

/** What an example may mention without saying where it comes from, with the type that it has for the compiler. */
const surroundings = {
  job: "Job",
  topic: "Topic<{ step: number }>",
  out: "Producer",
  consumer: "Consumer<{ step: number }>",
  event: "Event<{ step: number }>",
  temperature: "Float64Array",
} as const;

function needs({ code }: Example, name: string): boolean {
  return new RegExp(`\\b${name}\\b`).test(code) && !new RegExp(`\\b(const|let|using) ${name}\\b`).test(code);
}

let place: Workplace;
let group: string;
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  place = new Workplace();
  group = (await place.serve(["--data", "./weft"])).facts.group;
  await using job = await weftline.attach(group);
  const topic = await job.createTopic("field");
  await using out = await topic.producer();
  for (let step = 0; step < 3; step++) out.push({ step }, new Float64Array(1024));
  await out.flush();
  process.env["WEFTLINE_GROUP"] = group;
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(async () => {
  delete process.env["WEFTLINE_GROUP"];
  await place.close();
});

async function surround(example: Example): Promise<Record<string, unknown>> {
  const names = Object.keys(surroundings).filter((name) => needs(example, name));
  if (names.length === 0) return {};
  const job = await weftline.join({ name: "example" });
  closing.push(() => job.close());
  const topic = await job.topic<{ step: number }>("field");
  const out = await topic.producer();
  const consumer = topic.consumer({ name: "example", from: "earliest", select: weftline.all });
  const [event] = await consumer.pull({ max: 1 });
  return { job, topic, out, consumer, event, temperature: new Float64Array(100) };
}

const own = {
  async serve(options: weftline.ServeOptions): Promise<weftline.Server> {
    const server = await weftline.serve({
      ...options,
      data: place.path("own"),
      group: place.path("own", "group"),
      signals: false,
    });
    void server.close();
    return server;
  },
};

describe("the examples of the sources", () => {
  it("are found", () => {
    expect(examples.length).toBeGreaterThanOrEqual(20);
    expect(examples.filter(({ code }) => code === "").map(({ name }) => name)).toEqual([]);
  });

  it("compile", () => {
    const imports = Object.keys(weftline).join(", ");
    const types = Object.values(surroundings).map((type) => type.replace(/<.*/, ""));
    const typed = types.filter((type) => !(type in weftline) && type !== "Float64Array");
    const sources = new Map<string, { text: string; example: Example }>(
      examples.map((example, index) => {
        const given = Object.entries(surroundings)
          .filter(([name]) => needs(example, name))
          .map(([name, type]) => `declare const ${name}: ${type};\n`);
        const text = `import { ${[imports, ...typed, "type PackedMetadata", "type SchemaMetadata"].join(", ")} } from "weftline";\n${given.join("")}export async function example() {\n${example.code}}\n`;
        return [`${root}test/example-${index}.ts`, { text, example }] as const;
      }),
    );
    const options: ts.CompilerOptions = {
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ["node"],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      paths: { weftline: [`${root}src/index.ts`] },
    };
    const host = ts.createCompilerHost(options);
    const plain = ts.createCompilerHost(options);
    host.fileExists = (name) => sources.has(name) || plain.fileExists(name);
    host.getSourceFile = (name, version, ...rest) => {
      const source = sources.get(name);
      if (source === undefined) return plain.getSourceFile(name, version, ...rest);
      return ts.createSourceFile(name, source.text, {
        languageVersion: ts.ScriptTarget.ES2022,
        impliedNodeFormat: ts.ModuleKind.ESNext,
      });
    };
    const program = ts.createProgram([...sources.keys()], options, host);
    const problems = [...sources].flatMap(([name, { example }]) => {
      // Of the examples only: the rest is checked elsewhere.
      const file = program.getSourceFile(name);
      return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
        ({ messageText }) => `${example.name}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
      );
    });
    expect(problems).toEqual([]);
  });

  it.each(examples)("run: $name", async (example) => {
    const lines: unknown[][] = [];
    const say = (...words: unknown[]): void => void lines.push(words);
    const scope = { ...weftline, ...own, ...(await surround(example)), console: { log: say, error: say } };
    const body = ts.transpile(`async function example() {\n${example.code}}`, { target: ts.ScriptTarget.ES2022 });
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- it is code of this repository
    const run = new Function(...Object.keys(scope), `${body}\nreturn example();`) as (
      ...values: unknown[]
    ) => Promise<void>;
    await run(...Object.values(scope));
    expect(lines.length > 0).toBe(example.code.includes("console."));
  });
});
