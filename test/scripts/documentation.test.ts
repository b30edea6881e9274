// The pages name real things: every path of the sources that they mention is there, the tree in ARCHITECTURE.md is that of
// the repository, and the package lists folders that exist.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { inRoot } from "../../scripts/lib/paths.mjs";

const text = (name: string): string => readFileSync(inRoot(name), "utf8");
const pages = [
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "README.md",
  ...readdirSync(inRoot("docs"), { recursive: true })
    .map((name) => `docs/${String(name)}`)
    .filter((name) => name.endsWith(".md")),
];
/** Made by the build or by a run, not by us. */
const outputs = new Set(["build", "dist", "demo-output", "node_modules"]);

const sourceFolders = readdirSync(inRoot(), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !outputs.has(entry.name))
  .map(({ name }) => name);

/** `a/{b,c}` as both; what a reader has to fill in is cut off, as in `test/unit/…` and `native/test/<layer>/NAME.cc`. */
function pathsIn(page: string): string[] {
  const code = [...page.matchAll(/`([^`\s]+)`/g)].map(([, path = ""]) => path);
  const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = ""]) => path);
  return [...code, ...links].filter((path) =>
    /^(native|python|src|scripts|launch|slurm|pbs|bench|test|docs|examples)\//.test(path),
  );
}

function reach(path: string): string {
  const fixed = path.replace(/[*<…{].*$/, "").replace(/\b[A-Z_]+(_test)?\.(cc|ts)$/, "");
  return fixed.endsWith("/") || fixed === path ? fixed : fixed.slice(0, fixed.lastIndexOf("/") + 1);
}

describe("a page", () => {
  it.each(pages)("%s names no path that is not there", (name) => {
    expect(pathsIn(text(name)).filter((path) => !existsSync(inRoot(reach(path))))).toEqual([]);
  });

  it.each(pages)("%s looks for the build's outputs where they are", (name) => {
    // A folder of native/ is built in the folder of the same name.
    const built = [...text(name).matchAll(/`(build\/[^`\s]+)/g)].map(([, path = ""]) => path);
    const folders = built.map((path) => path.replace(/\/[^/]*$/, "").replace(/^build\/native(-[a-z]+)?/, "native"));
    expect(
      folders.filter((folder) => folder.startsWith("build/") && !/^build\/(ts|tsc|logs|reports|peers)\b/.test(folder)),
    ).toEqual([]);
    expect(folders.filter((folder) => folder.startsWith("native") && !existsSync(inRoot(folder)))).toEqual([]);
  });

  it("is judged at all", () => {
    expect(pathsIn("`docs/nowhere/` and [x](src/nowhere.ts), `native/test/<layer>/NAME_test.cc`")).toEqual([
      "docs/nowhere/",
      "native/test/<layer>/NAME_test.cc",
      "src/nowhere.ts",
    ]);
    expect(["docs/nowhere/", "native/test/<layer>/NAME_test.cc", "test/unit/…/*.test.ts"].map(reach)).toEqual([
      "docs/nowhere/",
      "native/test/",
      "test/unit/",
    ]);
  });
});

describe("the tree in ARCHITECTURE.md", () => {
  const [, tree = ""] = /## The tree\n\n```\n([^`]*)```/.exec(text("ARCHITECTURE.md")) ?? [];
  const named: string[] = [];
  let above = "";
  for (const line of tree.split("\n").filter((one) => one !== "")) {
    const folders =
      line
        .match(/^ *((?:[a-z]+(?:\/[a-z]+)*\/ ?)+)/)?.[1]
        ?.trim()
        .split(" ") ?? [];
    if (!line.startsWith(" ")) above = folders[0] ?? "";
    named.push(...folders.map((folder) => (line.startsWith(" ") ? above + folder : folder)));
  }

  it("names folders that are there", () => {
    expect(named.length).toBeGreaterThan(15);
    expect(named.filter((folder) => !existsSync(inRoot(folder)))).toEqual([]);
  });

  it("leaves none out", () => {
    const native = readdirSync(inRoot("native"))
      .filter((name) => name !== "cmake" && statSync(inRoot("native", name)).isDirectory())
      .map((name) => (name === "include" ? "native/include/weftline/" : `native/${name}/`));
    expect([...sourceFolders.map((name) => `${name}/`), ...native].filter((name) => !named.includes(name))).toEqual([]);
  });
});

it("the package lists files that are there", () => {
  const { files } = JSON.parse(text("package.json")) as { files: string[] };
  const listed = files.filter((name) => !name.startsWith("!") && !outputs.has(name.replace(/\/$/, "")));
  expect(listed.filter((name) => !existsSync(inRoot(name)))).toEqual([]);
});
