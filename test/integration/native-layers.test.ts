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
const forbidden: [string, string][] = [
  ["base", "wire/batch.h"],
  ["wire", "log/file.h"],
  ["wire", "fabric/fabric.h"],
  ["fabric", "log/partition_log.h"],
  ["log", "fabric/fabric.h"],
  ["broker", "client/producer.h"],
  ["client", "broker/partition_manager.h"],
];

describe("includes between native layers", () => {
  it.each(allowed)("%s may include %s", (layer, header) => {
    const { status, stderr } = compile(layer, header);
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it.each(forbidden)("%s cannot include %s", (layer, header) => {
    expect(existsSync(path.join(layers, layer)), `${layer} is no layer of build/native`).toBe(true);
    const { status, stderr } = compile(layer, header);
    expect(status).not.toBe(0);
    expect(stderr).toContain(`${header}: No such file or directory`);
  });

  it("holds for every header of the log and the fabric", () => {
    for (const [layer, other] of [
      ["log", "fabric"],
      ["fabric", "log"],
    ] as const) {
      const headers = readdirSync(path.join(root, "native", other)).filter((name) => name.endsWith(".h"));
      expect(headers.length).toBeGreaterThan(0);
      for (const header of headers) expect(existsSync(path.join(layers, layer, other, header))).toBe(false);
    }
  });
});
