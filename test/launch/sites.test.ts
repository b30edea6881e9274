// Site files and the job scripts that are made of them.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseSite } from "../../src/config/file.js";
import { jobScript } from "../../src/launch/job-script.js";
import { detectSite, readSite, siteNames, variablesOf } from "../../src/launch/sites.js";
import { inRoot, there } from "./support/launches.js";
import { planOf, problemOf } from "./support/surroundings.js";

const plan = planOf(`
servers: { perNode: 1 }
run: [{ name: solver, ranks: 4, command: ./solver }]
job: { name: flow, nodes: 3, time: "02:00:00", warn: 5min, account: CFD101 }
`);

function script(name: string): string {
  return jobScript({ site: readSite(name, "/"), config: plan, planFile: "/work/a plan.yaml", home: "/opt/weftline" });
}

describe("site files", () => {
  it.each(siteNames())("%s is one", (name) => {
    expect(readSite(name, "/").config.description).not.toBe("");
  });

  it("are found by the environment, else by the scheduler", () => {
    expect(detectSite({ LMOD_SYSTEM_NAME: "frontier", SLURM_JOB_ID: "1" }).name).toBe("frontier");
    expect(detectSite({ SLURM_JOB_ID: "1" }).name).toBe("slurm");
    expect(detectSite({ PBS_NODEFILE: "/x" }).name).toBe("pbs");
    expect(detectSite({}).name).toBe("local");
  });

  it("give paths that the environment does not", () => {
    const site = readSite("frontier", "/").config;
    expect(variablesOf(site, { USER: "me" }, "7")).toMatchObject({ NODE_LOCAL: "/mnt/bb/me", JOB_ID: "7" });
    expect(variablesOf(site, { USER: "me", NODE_LOCAL: "/x" }, "7")["NODE_LOCAL"]).toBe("/x");
    expect(variablesOf(site, {}, "7")["NODE_LOCAL"]).toBeUndefined();
  });

  it("say for each interface which cores are near, or for none", () => {
    const site = (more: string): string =>
      problemOf(() => parseSite("s.yaml", `description: x\nscheduler: slurm\nlauncher: srun\nnics: [a, b]\n${more}`));
    expect(site("coresOfNics: { a: 0-7 }")).toContain("s.yaml:5:14: coresOfNics: says nothing of b; name all or none");
    expect(site("coresOfNics: { a: 0-7, c: 8-15 }")).toContain(
      's.yaml:5:24: coresOfNics.c: "c" is not one of nics: a, b',
    );
    expect(site("coresOfNics: { a: 0-7, b: all }")).toContain("does not match");
  });

  it("are refused with the place of what is wrong", () => {
    expect(problemOf(() => parseSite("mine.yaml", "description: x\nscheduler: slurm\nlauncher: srum\n"))).toContain(
      'mine.yaml:3:11: launcher: "srum" is not one of mpiexec, srun, pals',
    );
    expect(problemOf(() => readSite("fronteir", "/"))).toMatch(/there is no site 'fronteir'.*did you mean frontier\?/);
    expect(problemOf(() => readSite("./no.yaml", "/nowhere"))).toContain("/nowhere/no.yaml: cannot be read");
  });
});

/** What only whoever submits the script knows: directives, modules, absolute paths, large numbers, and names to be filled in. */
const TO_BE_EDITED = /^#(SBATCH|PBS)|EDIT|PROJECT|QUEUE|module|\$HOME\b|(^|[\s"'=:])\/\w|\b\d{3,}\b/m;

/** What has to be looked at stands first, in paragraphs that begin with what it is; nothing of that kind comes behind. */
function expectEditsFirst(text: string): void {
  const [head = "", rest, ...more] = text.split("# Nothing below needs to be edited.\n");
  expect(more).toEqual([]);
  expect(rest?.match(TO_BE_EDITED)).toBeNull();
  const lines = head.split("\n").filter((line) => line !== "");
  const first = lines.findIndex((line) => line.startsWith("# EDIT: "));
  expect(lines.slice(0, first).filter((line) => !line.startsWith("# ") && line !== "#!/bin/bash")).toEqual(
    lines.slice(0, first).filter((line) => /^#(SBATCH|PBS)/.test(line)), // such as the name of the job
  );
  // A directive behind the first command is none.
  const command = lines.findIndex((line) => !line.startsWith("#"));
  expect(lines.slice(command).filter((line) => /^#(SBATCH|PBS)/.test(line))).toEqual([]);
}

describe("the job scripts that are ready", () => {
  const folders = ["slurm", "slurm/frontier", "pbs", "pbs/polaris"];
  const scripts = folders.flatMap((folder) =>
    readdirSync(inRoot(folder))
      .filter((name) => name.endsWith(".sh"))
      .map((name) => `${folder}/${name}`),
  );

  it("are the same for each machine", () => {
    const names = folders.map((folder) =>
      scripts.filter((each) => each.startsWith(`${folder}/`) && !each.slice(folder.length + 1).includes("/")),
    );
    for (const each of names)
      expect(each.map((path) => path.replace(/.*\//, ""))).toEqual(names[0]?.map((path) => path.replace(/.*\//, "")));
    expect(names[0]?.length).toBe(6);
  });

  it.each(scripts)("%s: all that is to be edited is at its top", (path) => {
    expectEditsFirst(readFileSync(inRoot(path), "utf8"));
  });

  it.each(scripts.filter((path) => path.split("/").length === 3))(
    "%s is the plain one with a head of its own",
    (path) => {
      const text = readFileSync(inRoot(path), "utf8");
      expect(text).toContain(`source "$WEFTLINE_HOME/${path.replace(/\/\w+\//, "/")}"`);
      const network = path.startsWith("slurm")
        ? /^#SBATCH --network=job_vni,single_node_vni$/m
        : /^#PBS -l place=scatter$/m;
      expect(text).toMatch(network);
      // What the plain one lets its user choose has to be in this head, which is the only one that is edited.
      const plain = readFileSync(inRoot(path.replace(/\/\w+\//, "/")), "utf8");
      for (const [, name] of plain.split("# Nothing below")[0]?.matchAll(/^(?:export )?(\w+)=/gm) ?? []) {
        expect(text).toContain(`export ${name}=`);
      }
    },
  );
});

describe("a job script", () => {
  it.each(siteNames())("of %s is a script, with all that is to be edited before what is not", (name) => {
    const text = script(name);
    expect(spawnSync("bash", ["-n"], { input: text }).status).toBe(0);
    expectEditsFirst(text);
    expect(text).toContain("# EDIT: where Weftline and the plan are");
    expect(text).toContain(`weftline launch --site ${name} --plan "$plan"`);
    expect(text).not.toContain("{");
  });

  it.skipIf(!there("shellcheck")).each(siteNames())("of %s has nothing that shellcheck complains of", (name) => {
    const { status, stdout } = spawnSync("shellcheck", ["-"], { input: script(name), encoding: "utf8" });
    expect(status, stdout).toBe(0);
  });

  it("has the plan's job in its head", () => {
    const frontier = script("frontier");
    for (const line of [
      "#SBATCH --job-name=flow",
      "# EDIT: the project that pays\n#SBATCH --account=CFD101",
      "#SBATCH --nodes=3",
      "#SBATCH --time=02:00:00",
      "#SBATCH --signal=B:USR1@300",
      "#SBATCH --network=job_vni,single_node_vni",
      "module load cray-mpich",
      "plan='/work/a plan.yaml'",
    ]) {
      expect(frontier).toContain(`${line}\n`);
    }
    expect(frontier).not.toContain("--partition"); // only with a queue in the plan
    const polaris = script("polaris");
    expect(polaris).toContain("#PBS -l select=3:system=polaris\n");
    expect(polaris).toContain("#PBS -q QUEUE\n"); // to be filled in
    expect(polaris).toContain("\nexport PROJECT=CFD101 #");
    expect(script("slurm")).toMatch(/^# EDIT: what the programs .*\n# such as: module load /m);
    expect(polaris).toContain('cd "$PBS_O_WORKDIR"\n');
    expect(polaris).toContain("\nwarn_after=6900\n"); // two hours less five minutes
  });

  it("has nothing but comments between its directives", () => {
    for (const name of ["slurm", "frontier", "pbs", "polaris", "lab"]) {
      const lines = script(name).split("\n");
      const first = lines.findIndex((line) => line !== "" && !line.startsWith("#"));
      expect(lines.slice(first).filter((line) => /^#(SBATCH|PBS)/.test(line))).toEqual([]);
    }
  });

  it("refuses a head with a placeholder that nobody fills", () => {
    const site = readSite("slurm", "/");
    const config = { ...site.config, header: [{ line: "#SBATCH {color}" }] };
    expect(
      problemOf(() => jobScript({ site: { ...site, config }, config: plan, planFile: "/p", home: "/h" })),
    ).toContain("{color} is not known");
  });
});
