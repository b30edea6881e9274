// A layer of native/ sees only the layers below it: the build gives each an include folder with links to those
// and nothing else. Here the compiler is asked, with headers that exist: an allowed include compiles, a
// forbidden one does not. Needs a configured build/native.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");
const layers = path.join(root, "build", "native", "layers");

function compile(layer: string, header: string): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(
    "g++",
    [
      "-std=c++20",
      "-fsyntax-only",
      "-x",
      "c++",
      "-I",
      path.join(layers, layer),
      "-I",
      path.join(root, "native", "include"),
      "-",
    ],
    { input: `#include "${header}"\nint main() {}\n`, encoding: "utf8", timeout: 60_000 },
  );
  return { status, stderr };
}

const allowed: [string, string][] = [
  ["base", "base/status.h"],
  ["wire", "base/status.h"],
  ["wire", "wire/batch.h"],
  ["fabric", "fabric/fabric.h"],
  ["log", "log/partition_log.h"],
];
/** Layer, and a layer whose headers it must not see. */
const forbidden: [string, string][] = [
  ["base", "wire"],
  ["wire", "log"],
  ["wire", "fabric"],
  ["fabric", "log"],
  ["log", "fabric"],
  ["broker", "client"],
  ["client", "broker"],
];

const headersOf = (layer: string) =>
  readdirSync(path.join(root, "native", layer))
    .filter((name) => name.endsWith(".h"))
    .map((name) => `${layer}/${name}`);

describe("includes between native layers", () => {
  it.each(allowed)("%s may include %s", (layer, header) => {
    const { status, stderr } = compile(layer, header);
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it.each(forbidden)("%s cannot include headers of %s", (layer, other) => {
    expect(existsSync(path.join(layers, layer)), `${layer} is no layer of build/native`).toBe(true);
    const [header, ...more] = headersOf(other);
    if (header === undefined) throw new Error(`native/${other} has no header`);
    const { status, stderr } = compile(layer, header);
    expect(status).not.toBe(0);
    expect(stderr).toContain(`${header}: No such file or directory`);
    for (const name of more) expect(existsSync(path.join(layers, layer, name)), name).toBe(false);
  });
});
