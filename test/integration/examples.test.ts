// Every example in examples/typescript runs, with the output that it promises.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Running, until, Workplace } from "./support/weftline.js";

const built = fileURLToPath(new URL("../../build/ts/examples/typescript/", import.meta.url));
const sources = fileURLToPath(new URL("../../examples/typescript/", import.meta.url));

let place: Workplace;
let server: Running;
let group: string;

function start(name: string, argv: readonly string[] = []): Running {
  const env: NodeJS.ProcessEnv = { ...process.env, WEFTLINE_GROUP: group };
  return new Running(
    spawn(process.execPath, [join(built, `${name}.js`), ...argv], { env, stdio: ["ignore", "pipe", "pipe"] }),
  );
}

async function run(name: string, argv: readonly string[] = []): Promise<string> {
  const { exitCode, signal, output, words } = await start(name, argv).finished;
  expect({ exitCode, signal, words }, name).toEqual({ exitCode: 0, signal: null, words: "" });
  return output.toString();
}

beforeAll(async () => {
  place = new Workplace();
  group = place.path("weft", "group");
  server = start("serve", [place.path("weft")]);
  await until("the server's group directory", () => {
    if (server.ended) throw new Error(`the server ended: ${server.words}`);
    return server.output.includes("\n");
  });
  expect(server.output.toString().trim()).toBe(group);
});
afterAll(async () => {
  const { exitCode, signal, words } = await server.end("SIGTERM");
  expect({ exitCode, signal }, words).toEqual({ exitCode: 0, signal: null });
  await place.close();
});

describe("an example", () => {
  it("streams a field, and a corner of every tenth step is read, once", async () => {
    expect(await run("solver", ["25"])).toBe("25 steps of 2097152 bytes are stored\n");
    const lines = (await run("corner")).trim().split("\n").sort();
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^step 0: mean 0\.0\d\d of 4096 values$/);
    expect(lines[2]).toMatch(/^step 20: mean 20\.0\d\d of 4096 values$/);
    expect(await run("corner")).toBe(""); // all is acknowledged
  });

  it("writes and reads records, and goes on where it was", async () => {
    expect(await run("records", [group])).toBe("the first record is event 0:0\n1001 records, 1 warnings\n");
    expect(await run("records", [group])).toContain("event 0:1001\n1001 records, 1 warnings");
  });

  it("pushes packed records, and reads them whole and by field", async () => {
    const first = `{ step: 0, time: 0, label: 'warm-up', origin: [ 0, 0 ] }`;
    const middle = `{ step: 50, time: 12.5, label: 'warm-up', origin: [ 50, 0 ] }`;
    expect(await run("packed")).toBe(`${first}\n${middle}\nthe last step ends at 24.75\n`);
  });

  it("counts on behind what it has stored", async () => {
    expect(await run("counter", ["25"])).toBe("rank 0 begins at 0\nrank 0 ends before 25\n");
    expect(await run("counter", ["30"])).toBe("rank 0 begins at 25\nrank 0 ends before 30\n");
  });

  it("talks to the other ranks", async () => {
    expect(await run("collectives")).toBe("rank 0 of 1, seed 42, analysis\n");
  });

  it("is tested here, each of them", () => {
    const names = readdirSync(sources).filter((name) => name.endsWith(".ts"));
    expect(names.sort()).toEqual([
      ...["collectives.ts", "corner.ts", "counter.ts", "packed.ts", "records.ts", "serve.ts", "solver.ts"],
    ]);
  });
});
