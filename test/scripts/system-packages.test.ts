// The decisions of scripts/lib/system-packages.mjs with an invented dpkg and PATH: nothing is installed here.
import { describe, expect, it } from "vitest";
import { decide, missingPackages, packagesFor, wantedPackages } from "../../scripts/lib/system-packages.mjs";

const root = { uid: 0, hasApt: true, sudoWithoutPassword: false };
const withSudo = { uid: 1000, hasApt: true, sudoWithoutPassword: true };
const plainUser = { uid: 1000, hasApt: true, sudoWithoutPassword: false };

describe("missingPackages", () => {
  it("asks dpkg once and keeps what is not installed, in order", () => {
    const asked: string[][] = [];
    const probe = (program: string, args: string[]) => {
      asked.push([program, ...args]);
      return { status: 1, stdout: "a installed\nc config-files\n", stderr: "dpkg-query: no packages found matching b" };
    };
    expect(missingPackages(["a", "b", "c"], probe)).toEqual(["b", "c"]);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.[0]).toBe("dpkg-query");
  });

  it("asks nothing when nothing is wanted", () => {
    const probe = () => {
      throw new Error("dpkg was asked");
    };
    expect(missingPackages([], probe)).toEqual([]);
  });
});

describe("decide", () => {
  it("does nothing when nothing is missing", () => {
    expect(decide([], root).kind).toBe("nothing");
  });

  it("as root updates, then installs without questions and recommendations", () => {
    const { kind, commands } = decide(["mpich", "shfmt"], root);
    expect(kind).toBe("install");
    expect(commands.map((command) => command.slice(0, 4))).toEqual([
      ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"],
      ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install"],
    ]);
    expect(commands[1]).toEqual(expect.arrayContaining(["-y", "--no-install-recommends", "mpich", "shfmt"]));
  });

  it("with passwordless sudo goes through sudo -n", () => {
    for (const command of decide(["mpich"], withSudo).commands) expect(command.slice(0, 2)).toEqual(["sudo", "-n"]);
  });

  it("as a plain user runs nothing and gives the exact line", () => {
    expect(decide(["mpich", "libmpich-dev"], plainUser)).toEqual({
      kind: "tell",
      commands: [],
      line: "sudo apt-get update && sudo apt-get install -y --no-install-recommends mpich libmpich-dev",
    });
  });

  it("without apt gives the line even to root", () => {
    expect(decide(["mpich"], { ...root, hasApt: false }).kind).toBe("tell");
  });
});

describe("wantedPackages", () => {
  const nowhere = () => undefined;
  const only = (name: string) => (asked: string) => (asked === name ? `/usr/bin/${name}` : undefined);

  it("adds MPICH to the demo only where there is no MPI at all", () => {
    expect(wantedPackages("demo", nowhere)).toEqual([...packagesFor.build, "mpich", "libmpich-dev"]);
    expect(wantedPackages("demo", only("mpicxx.openmpi"))).toEqual(packagesFor.build);
    expect(wantedPackages("demo", only("mpicxx"))).toEqual(packagesFor.build);
  });

  it("builds without any MPI", () => {
    expect(wantedPackages("build", nowhere)).toEqual(packagesFor.build);
  });

  it("tests with both", () => {
    expect(wantedPackages("test", nowhere)).toEqual(expect.arrayContaining(["libmpich-dev", "libopenmpi-dev"]));
  });

  it("refuses a purpose that it does not know", () => {
    expect(() => wantedPackages("dinner")).toThrow(/unknown purpose 'dinner'/);
  });
});
