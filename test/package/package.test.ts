// What `npm pack` makes is installed in an empty folder, as a user would, and used from there: the native part is
// compiled on the way. Needs dist/ (the runner builds it) and the npm registry for the few run-time dependencies.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
// without what the outer `npm test` adds to the environment, which would point npm at this repository
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_ENV|INIT_CWD)/.test(name)),
);

let folder: string;
let files: string[];

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "weftline-package-"));
  const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: root,
    env: environment,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [tarball] = JSON.parse(packed) as { filename: string; files: { path: string }[] }[];
  if (tarball === undefined) throw new Error(`npm pack named no tarball: ${packed}`);
  files = tarball.files.map((file) => file.path);
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const install = spawnSync("npm", ["install", "--no-audit", "--no-fund", path.join(folder, tarball.filename)], {
    cwd: folder,
    env: environment,
    encoding: "utf8",
    timeout: 880_000,
  });
  if (install.status !== 0) throw new Error(`npm install failed:\n${install.stdout}\n${install.stderr}`);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function inFolder(program: string, args: string[], env: NodeJS.ProcessEnv = environment) {
  return spawnSync(program, args, { cwd: folder, env, encoding: "utf8", timeout: 120_000 });
}

describe("the tarball", () => {
  it("holds what is needed, and no tests", () => {
    expect(files).toEqual(
      expect.arrayContaining([
        "dist/index.js",
        "dist/index.d.ts",
        "dist/cli/main.js",
        "native/CMakeLists.txt",
        "native/include/weftline/weftline.h",
        "scripts/install.mjs",
        "LICENSE",
      ]),
    );
    expect(files.filter((name) => /^(native\/(test|fuzz|bench)|src|test|build|node_modules)\//.test(name))).toEqual([]);
  });

  it("built the addon and the C library when it was installed", () => {
    const built = path.join(folder, "node_modules", "weftline", "build", "native");
    expect(existsSync(path.join(built, "addon", "weftline.node"))).toBe(true);
    expect(existsSync(path.join(built, "library", "libweftline.so"))).toBe(true);
  });

  it("gives the command", () => {
    const { status, stdout, stderr } = inFolder("npx", ["--no-install", "weftline", "--version"]);
    expect(stderr).not.toMatch(/Error/);
    expect(stdout.trim()).toContain(version);
    expect(status).toBe(0);
  });

  it("can be imported, and loads its native part", () => {
    const program = `
      import * as weftline from "weftline";
      import { createRequire } from "node:module";
      createRequire(import.meta.url)("./node_modules/weftline/build/native/addon/weftline.node");
      console.log(Object.keys(weftline).includes("join"));`;
    writeFileSync(path.join(folder, "use.mjs"), program);
    const { status, stdout, stderr } = inFolder(process.execPath, ["use.mjs"]);
    expect(stderr).toBe("");
    expect(stdout.trim()).toBe("true");
    expect(status).toBe(0);
  });

  it("serves, produces and consumes: what comes out is what went in", async () => {
    const command = path.join("node_modules", ".bin", "weftline");
    const server = spawn(path.join(folder, command), ["serve", "--data", "weft"], {
      cwd: folder,
      env: environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let words = "";
    server.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
    const ended = new Promise((resolve) => server.once("exit", (status, signal) => resolve({ status, signal })));
    const input = Array.from({ length: 2000 }, (_, index) => `{"n":${index},"place":"Hilo é ${index}"}\n`).join("");
    const run = (args: string[]): string => {
      const { status, stdout, stderr } = spawnSync(path.join(folder, command), args, {
        cwd: folder,
        env: environment,
        encoding: "utf8",
        timeout: 120_000,
        input: args[0] === "produce" ? input : "",
      });
      expect(status, `weftline ${args.join(" ")}\n${stderr}\nthe server: ${words}`).toBe(0);
      return stdout;
    };
    try {
      run(["topic", "create", "quakes", "--durability", "synced"]); // waits for the server's start
      run(["produce", "quakes"]);
      expect(run(["consume", "quakes", "--until", "end", "--metadata-only"])).toBe(input);
    } finally {
      server.kill("SIGTERM");
    }
    expect(await ended, words).toEqual({ status: 0, signal: null });
    expect(run(["log", "verify", "weft"])).toMatch(/2,000 events +ok/);
  });

  it("says what to do where it cannot be built", () => {
    const script = path.join("node_modules", "weftline", "scripts", "install.mjs");
    const { status, stderr } = inFolder(process.execPath, [script], {
      ...environment,
      PATH: path.join(folder, "nothing"),
    });
    expect(status).toBe(1);
    expect(stderr).toContain("no cmake, no make, no g++ on PATH");
    expect(stderr).toContain("next: install cmake");
  });
});
