// Site files and the job scripts that are made of them.
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parseSite } from "../../src/config/file.js";
import { jobScript } from "../../src/launch/job-script.js";
import { detectSite, readSite, siteNames, variablesOf } from "../../src/launch/sites.js";
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

  it("are refused with the place of what is wrong", () => {
    expect(problemOf(() => parseSite("mine.yaml", "description: x\nscheduler: slurm\nlauncher: srum\n"))).toContain(
      'mine.yaml:3:11: launcher: "srum" is not one of mpiexec, srun, pals',
    );
    expect(problemOf(() => readSite("fronteir", "/"))).toMatch(/there is no site 'fronteir'.*did you mean frontier\?/);
    expect(problemOf(() => readSite("./no.yaml", "/nowhere"))).toContain("/nowhere/no.yaml: cannot be read");
  });
});

describe("a job script", () => {
  it.each(siteNames())("of %s is a script, with all that is to be edited before what is not", (name) => {
    const text = script(name);
    expect(spawnSync("bash", ["-n"], { input: text }).status).toBe(0);
    const [top = "", rest = ""] = text.split("# Nothing below needs to be edited.");
    expect(top).toContain("# EDIT: where Weftline and the plan are");
    expect(rest).not.toContain("EDIT");
    expect(rest).toContain(`weftline launch --site ${name} --plan "$plan"`);
    expect(text).not.toContain("{");
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
    expect(polaris).toContain('cd "$PBS_O_WORKDIR"\n');
    expect(polaris).toContain("--signal=USR1 6900 weftline launch"); // two hours less five minutes
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
