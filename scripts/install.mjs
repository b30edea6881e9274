// Runs when the package is installed from a tarball: builds the native part with plain CMake into build/native/.
// In a checkout of the repository it does nothing: there `npm run build`, `npm test` and the others build.
// It installs no system packages: that is the user's decision. It says which ones are missing.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { capture, execute, findProgram } from "./lib/command.mjs";
import { configureArguments, jobs, nodePackages } from "./lib/native-build.mjs";
import { inRoot, logFolder, nativeBuild } from "./lib/paths.mjs";
import { missingPackages, packagesFor } from "./lib/system-packages.mjs";

const log = path.join(logFolder, "install.log");

function fail(why, next) {
  console.error(`\nweftline: the native part could not be built: ${why}`);
  if (existsSync(log)) {
    const tail = readFileSync(log, "utf8").trimEnd().split("\n").slice(-40);
    console.error(tail.map((line) => `    ${line}`).join("\n"));
  }
  console.error(`next: ${next}`);
  console.error("then install again (or, with the package in place: npm rebuild weftline)");
  process.exit(1);
}

async function install() {
  const absent = ["cmake", "make", "g++"].filter((name) => findProgram(name) === undefined);
  if (absent.length > 0) fail(`no ${absent.join(", no ")} on PATH`, "install cmake (3.20 or newer), make and g++");
  const missing = findProgram("dpkg-query") ? missingPackages(packagesFor.build, capture) : [];
  const hint =
    missing.length > 0
      ? `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing.join(" ")}`
      : "the lines above name what is missing (libfabric, ISA-L and libsodium with their headers are needed)";
  mkdirSync(logFolder, { recursive: true });
  const configure = configureArguments({
    folder: nativeBuild,
    sanitize: "",
    tests: false,
    addon: true,
    generator: undefined,
    ccache: undefined,
    packages: nodePackages(),
  });
  for (const args of [configure, ["--build", nativeBuild, "--parallel", String(jobs())]]) {
    const { status, reason } = await execute("cmake", args, { log, timeoutS: 3600 });
    if (status !== 0) fail(reason, hint);
  }
}

if (!existsSync(inRoot("tsconfig.json"))) await install();
