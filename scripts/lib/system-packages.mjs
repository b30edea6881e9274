// Which Debian packages a command needs, which of them are missing, and how they get here: through apt-get
// when this runs as root or may use sudo without a password; else the exact line to run is printed.
// A machine without dpkg is left alone: there the native build itself says what it does not find.
import { capture, findProgram } from "./command.mjs";
import { StepFailure } from "./steps.mjs";

const build = ["libfabric-dev", "libisal-dev", "libsodium-dev", "rapidjson-dev"];
const lint = ["clang-format", "shellcheck", "shfmt"];
const guard = ["valgrind"];
const nativeTests = ["libgtest-dev", "ninja-build", "ccache"];
const languages = ["gfortran", "pkg-config", "python3", "python3-numpy"];
const mpich = ["mpich", "libmpich-dev"];
const openmpi = ["openmpi-bin", "libopenmpi-dev"];
const hosts = ["libfabric-bin", "iproute2", "nftables"];

/** Packages by purpose. `demo`, `bench` and `suite` take whichever MPI is there; only without any do they ask for MPICH. */
export const packagesFor = {
  none: [],
  build,
  lint,
  demo: build,
  bench: build,
  guard: [...build, ...guard],
  // A font: for the texts of plots as PNG
  suite: [...build, "libbenchmark-dev", "fonts-dejavu-core"],
  // libssl, zlib and curl: librdkafka is built from source
  peers: ["default-jre-headless", "maven", "nats-server", "libssl-dev", "zlib1g-dev", "libcurl4-openssl-dev"],
  native: [...build, ...nativeTests, ...languages, ...mpich, ...openmpi, ...hosts],
  test: [...build, ...nativeTests, ...languages, ...mpich, ...openmpi, ...hosts, ...lint, ...guard],
};
const wantsAnyMpi = new Set(["demo", "bench", "guard", "suite"]);
const mpiCompilers = ["mpicxx.mpich", "mpicxx.openmpi", "mpicxx"];

/** Those of `wanted` that dpkg does not have installed. @param {(program: string, args: string[]) => { stdout: string }} probe */
export function missingPackages(wanted, probe = capture) {
  if (wanted.length === 0) return [];
  // dpkg-query fails when it does not know one of the names, and still lists the others
  const { stdout } = probe("dpkg-query", ["--show", "--showformat=${Package} ${db:Status-Status}\\n", ...wanted]);
  const installed = new Set();
  for (const line of stdout.split("\n")) {
    const [name, status] = line.trim().split(" ");
    if (status === "installed") installed.add(name);
  }
  return wanted.filter((name) => !installed.has(name));
}

/** What is to be done about missing packages: nothing, apt-get by ourselves, or a line for the reader. */
export function decide(missing, { uid, hasApt, sudoWithoutPassword }) {
  if (missing.length === 0) return { kind: "nothing", commands: [], line: "" };
  const install = ["apt-get", "install", "-y", "--no-install-recommends", ...missing];
  const line = `sudo apt-get update && sudo ${install.join(" ")}`;
  if (!hasApt || (uid !== 0 && !sudoWithoutPassword)) return { kind: "tell", commands: [], line };
  const prefix = [...(uid === 0 ? [] : ["sudo", "-n"]), "env", "DEBIAN_FRONTEND=noninteractive"];
  const patience = ["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"];
  const commands = [
    [...prefix, "apt-get", "update", ...patience],
    [...prefix, ...install, ...patience],
  ];
  return { kind: "install", commands, line };
}

/** The packages that `purpose` wants on this machine. */
export function wantedPackages(purpose, find = findProgram) {
  const wanted = packagesFor[purpose];
  if (wanted === undefined) {
    throw new StepFailure(`unknown purpose '${purpose}'`, `use one of ${Object.keys(packagesFor).join(", ")}`);
  }
  const withoutMpi = wantsAnyMpi.has(purpose) && !mpiCompilers.some((name) => find(name) !== undefined);
  return withoutMpi ? [...wanted, ...mpich] : wanted;
}

export function systemPackagesStep(purpose) {
  return {
    name: "system packages",
    stops: true,
    run: async (step) => {
      const wanted = wantedPackages(purpose);
      if (findProgram("dpkg-query") === undefined) {
        step.note = `no dpkg here: the equivalents of ${wanted.join(" ")} are assumed`;
        return;
      }
      const missing = missingPackages(wanted);
      const decision = decide(missing, {
        uid: process.getuid(),
        hasApt: findProgram("apt-get") !== undefined,
        sudoWithoutPassword: findProgram("sudo") !== undefined && capture("sudo", ["-n", "true"]).status === 0,
      });
      if (decision.kind === "tell") {
        throw new StepFailure(
          `missing packages: ${missing.join(" ")}`,
          `run this line, then the command again:\n    ${decision.line}`,
        );
      }
      for (const [program, ...args] of decision.commands) {
        await step.run(program, args, {
          next: `run this line by hand and look at what apt says:\n    ${decision.line}`,
        });
      }
      const still = missingPackages(wanted);
      if (still.length > 0) throw new StepFailure(`apt-get ended well, yet these are missing: ${still.join(" ")}`);
      step.note = missing.length === 0 ? "all there" : `installed ${missing.join(" ")}`;
    },
  };
}
