// The arguments that CMake gets, and what makes a build count as done already.
import { describe, expect, it } from "vitest";
import { hostsInLock } from "../../scripts/lib/checks.mjs";
import { cacheValue, configureArguments } from "../../scripts/lib/native-build.mjs";
import { stampOf } from "../../scripts/lib/npm-packages.mjs";
import { staleOutputs } from "../../scripts/lib/typescript-build.mjs";

const plain = { folder: "/b", sanitize: "", tests: false, addon: true, generator: undefined, ccache: undefined };
const packages = { addonApi: "/n/node-addon-api", apiHeaders: "/n/node-api-headers/include" };

describe("configureArguments", () => {
  it("leaves generator and compiler launcher to CMake where there are none", () => {
    const args = configureArguments({ ...plain, packages });
    expect(args).not.toContain("-G");
    expect(args.join(" ")).not.toContain("LAUNCHER");
    expect(args).toEqual(expect.arrayContaining(["-DWEFT_TESTS=OFF", "-DWEFT_ADDON=ON", "-DWEFT_SANITIZE="]));
    expect(args).toContain("-DWEFT_NODE_ADDON_API=/n/node-addon-api");
  });

  it("names both where they are", () => {
    const args = configureArguments({ ...plain, packages, generator: "Ninja", ccache: "/usr/bin/ccache" });
    expect(args.slice(args.indexOf("-G"))[1]).toBe("Ninja");
    expect(args).toContain("-DCMAKE_CXX_COMPILER_LAUNCHER=/usr/bin/ccache");
  });

  it("builds no addon with a sanitizer", () => {
    const args = configureArguments({ ...plain, addon: false, sanitize: "thread", packages: undefined });
    expect(args).toEqual(expect.arrayContaining(["-DWEFT_ADDON=OFF", "-DWEFT_SANITIZE=thread"]));
    expect(args.join(" ")).not.toContain("NODE_ADDON_API");
  });
});

describe("cacheValue", () => {
  it("reads a value of any type, and only the whole name", () => {
    const text = "CMAKE_GENERATOR:INTERNAL=Unix Makefiles\nWEFT_TESTS:BOOL=ON\n";
    expect(cacheValue(text, "CMAKE_GENERATOR")).toBe("Unix Makefiles");
    expect(cacheValue(text, "TESTS")).toBeUndefined();
  });
});

describe("what is done already", () => {
  it("the npm stamp changes with the lock file and with Node's version line only", () => {
    expect(stampOf("a", "20.19.0")).toBe(stampOf("a", "20.20.2"));
    expect(stampOf("a", "20.19.0")).not.toBe(stampOf("b", "20.19.0"));
    expect(stampOf("a", "20.19.0")).not.toBe(stampOf("a", "22.1.0"));
  });

  it("outputs without a source are stale, folders are not", () => {
    const outputs = ["cli", "cli/main.js", "cli/main.js.map", "cli/main.d.ts", "old.js", "old.d.ts"];
    expect(staleOutputs(outputs, ["cli", "cli/main.ts"])).toEqual(["old.js", "old.d.ts"]);
  });
});

describe("hostsInLock", () => {
  it("allows the default registry and none, and names others", () => {
    const entry = (url: string) => `"resolved": "${url}",`;
    expect(hostsInLock(entry("https://registry.npmjs.org/yaml/-/yaml-2.tgz"))).toEqual([]);
    expect(hostsInLock(entry("https://mirror.example/yaml-2.tgz"))).toEqual(["mirror.example"]);
    expect(hostsInLock(entry("git+ssh://git@host.example/x.git"))).toEqual(["git@host.example"]);
  });
});
