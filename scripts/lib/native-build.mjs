// The native build: plain CMake, incremental. Configuring is skipped while its inputs (arguments, the folders
// that take part, the MPI compilers on PATH) are those of the last time; building is left to ninja or make.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { findProgram } from "./command.mjs";
import { inRoot, nativeBuild, nativeSource, root } from "./paths.mjs";

/** A compile of the heaviest file needs about this much memory; more at once would swap. */
const memoryPerJobBytes = 1.5 * 1024 ** 3;
export const jobs = () =>
  Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.totalmem() / memoryPerJobBytes)));

/** The variants that are built, each in a folder of its own. The sanitized ones run native tests only. */
export const variants = {
  normal: { folder: nativeBuild, sanitize: "" },
  address: { folder: inRoot("build", "native-address"), sanitize: "address" },
  thread: { folder: inRoot("build", "native-thread"), sanitize: "thread" },
};

/** A value from CMakeCache.txt, or undefined. */
export function cacheValue(cacheText, name) {
  return cacheText.match(new RegExp(`^${name}:[A-Z]+=(.*)$`, "m"))?.[1];
}

function packageFolder(name) {
  const require = createRequire(inRoot("package.json"));
  return path.dirname(require.resolve(`${name}/package.json`));
}

/** Where the two header-only packages are, wherever npm put them. */
export const nodePackages = () => ({
  addonApi: packageFolder("node-addon-api"),
  apiHeaders: path.join(packageFolder("node-api-headers"), "include"),
});

export function configureArguments({ folder, sanitize, tests, addon, generator, ccache, packages }) {
  const on = (value) => (value ? "ON" : "OFF");
  return [
    ...["-S", nativeSource, "-B", folder],
    ...(generator ? ["-G", generator] : []),
    `-DWEFT_TESTS=${on(tests)}`,
    `-DWEFT_ADDON=${on(addon)}`,
    `-DWEFT_SANITIZE=${sanitize}`,
    ...(addon ? [`-DWEFT_NODE_ADDON_API=${packages.addonApi}`, `-DWEFT_NODE_API_HEADERS=${packages.apiHeaders}`] : []),
    ...(ccache ? [`-DCMAKE_C_COMPILER_LAUNCHER=${ccache}`, `-DCMAKE_CXX_COMPILER_LAUNCHER=${ccache}`] : []),
    "--no-warn-unused-cli",
  ];
}

function inputsOf(args) {
  const folders = readdirSync(nativeSource, { recursive: true })
    .filter((name) => name.endsWith("CMakeLists.txt"))
    .sort();
  const compilers = ["g++", "gfortran", "mpicxx.mpich", "mpicxx.openmpi", "mpicxx"].map(
    (name) => findProgram(name) ?? "",
  );
  return JSON.stringify({ args, folders, compilers }, null, 1);
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

/** What one checkout has compiled another finds in ccache: paths count from the checkout, and debuggers may see those of the other. */
const sharedCache = { CCACHE_BASEDIR: root, CCACHE_NOHASHDIR: "1" };

/** Configures (if needed) and builds. `run(program, args, options)` is a step's. */
export async function buildNative(step, { variant = "normal", tests, targets = [] }) {
  const { folder, sanitize } = variants[variant];
  let cache = readIfThere(path.join(folder, "CMakeCache.txt"));
  if (cache && cacheValue(cache, "CMAKE_HOME_DIRECTORY") !== nativeSource) {
    // the checkout was moved or copied: CMake refuses such a folder
    rmSync(folder, { recursive: true });
    cache = "";
  }
  const addon = sanitize === "";
  const args = configureArguments({
    folder,
    sanitize,
    addon,
    // once tests are part of a folder they stay, so that `demo` after `test` builds nothing again
    tests: tests || cacheValue(cache, "WEFT_TESTS") === "ON",
    generator: cacheValue(cache, "CMAKE_GENERATOR") ?? (findProgram("ninja") ? "Ninja" : undefined),
    ccache: findProgram("ccache"),
    packages: addon ? nodePackages() : undefined,
  });
  const stampFile = path.join(folder, ".configured.json");
  const inputs = inputsOf(args);
  if (readIfThere(stampFile) !== inputs) {
    mkdirSync(folder, { recursive: true });
    await step.run("cmake", args, {
      next: "the lines above name what CMake did not find; on Debian `npm run setup` installs all of it",
    });
    writeFileSync(stampFile, inputs);
  }
  const chosen = targets.length > 0 ? ["--target", ...targets] : [];
  await step.run("cmake", ["--build", folder, "--parallel", String(jobs()), ...chosen], {
    next: "the first error above is the one to look at",
    timeoutS: 3600,
    env: sharedCache,
  });
}

export function nativeBuildStep({ name = "native build", variant = "normal", tests = false } = {}) {
  return { name, needs: ["system packages", "npm packages"], run: (step) => buildNative(step, { variant, tests }) };
}
