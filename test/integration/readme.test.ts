// The README tells the truth: its shell session runs as it stands, and its code is code of the examples, which run.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { launchers } from "./support/launchers.js";
import { cliPath, parseLines, Workplace } from "./support/weftline.js";

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

  it.each(launchers.filter(({ there }) => there).slice(0, 1))(
    "has a launch of several programs that runs as it stands, with $mpi",
    async (launcher) => {
      const line = blocks("sh").find((block) => block.startsWith("launch/mpiexec.sh "));
      expect(line).toBeDefined();
      const script = (name: string, text: string): void => {
        writeFileSync(place.path("launch", name), text);
        chmodSync(place.path("launch", name), 0o755);
      };
      mkdirSync(place.path("launch"));
      script("weftline.yaml", "topics:\n  field: { partitions: 2 }\n");
      script("weftline", `#!/bin/sh\nexec "${process.execPath}" "${cliPath}" "$@"\n`);
      script("solver", `#!/bin/sh\nexec "${process.execPath}" "${root}build/ts/examples/typescript/solver.js" 3\n`);
      // The analysis of a launch joins it, and knows how many steps come.
      script(
        "analysis.js",
        `import("${root}dist/index.js").then(async ({ join }) => {
        const job = await join({ name: "analysis" });
        const consumer = (await job.topic("field")).consumer({ from: "earliest" });
        for (let seen = 0; seen < 12; ) seen += (await consumer.pull()).length;
        console.log("12 steps are seen");
        await job.close();
      });\n`,
      );
      const run = place.startProgram("bash", ["-c", `cd launch && exec "${root}"${line ?? ""}`], {
        env: {
          ...launcher.env,
          WEFTLINE_MPI: launcher.mpi,
          PATH: `${place.path("launch")}:${process.env["PATH"] ?? ""}`,
        },
      });
      const deadline = setTimeout(() => run.child.kill("SIGTERM"), 90_000);
      const { exitCode, output, words } = await run.finished;
      clearTimeout(deadline);
      expect(exitCode, words).toBe(0);
      expect(output.toString().match(/3 steps of 2097152 bytes are stored/g), words).toHaveLength(4);
      expect(output.toString()).toContain("12 steps are seen");
      await place.serve(["--data", place.path("launch", "weft")]);
      const stored = await place.ok([
        "consume",
        "field",
        "--until",
        "end",
        "--group",
        place.path("launch", "weft", "group"),
      ]);
      expect(parseLines(stored)).toHaveLength(12);
    },
  );

  it("shows code that is in the examples", () => {
    const sources = [
      "typescript/solver.ts",
      "typescript/corner.ts",
      "typescript/serve.ts",
      "typescript/packed.ts",
      "c/producer.c",
    ].map((name) => readFileSync(`${root}examples/${name}`, "utf8"));
    const shown = [...blocks("ts"), ...blocks("c")];
    expect(shown).toHaveLength(sources.length);
    for (const [index, block] of shown.entries()) expect(sources[index]).toContain(block);
  });
});
