// The README tells the truth: its shell session runs as it stands, and its code is code of the examples, which run.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { cliPath, Workplace } from "./support/weftline.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");

function blocks(language: string): string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "gm"))].map(
    (match) => match[1] ?? "",
  );
}

let place: Workplace;
beforeAll(() => {
  place = new Workplace();
});
afterAll(async () => {
  await place.close();
});

describe("the README", () => {
  it("has a first session that runs as it stands", async () => {
    const session = blocks("sh").find((block) => block.includes("weftline serve --data ./weft &"));
    expect(session).toBeDefined();
    const script = place.path("session.sh");
    writeFileSync(
      script,
      `set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\ncd "${place.directory}"\nweftline() { "${process.execPath}" "${cliPath}" "$@"; }\n${session ?? ""}wait\n`,
    );
    const { exitCode, output, words } = await place.startProgram("bash", [script]).finished;
    expect(exitCode, words).toBe(0);
    expect(output.toString()).toContain('"metadata":{"mag":4.6,"place":"Hilo"}');
    expect(output.toString()).toMatch(/partition quakes\/0 .* ok/);
  });

  it("shows code that is in the examples", () => {
    const sources = ["typescript/solver.ts", "typescript/corner.ts", "typescript/serve.ts", "c/producer.c"].map(
      (name) => readFileSync(`${root}examples/${name}`, "utf8"),
    );
    const shown = [...blocks("ts"), ...blocks("c")];
    expect(shown).toHaveLength(sources.length);
    for (const [index, block] of shown.entries()) expect(sources[index]).toContain(block);
  });
});
