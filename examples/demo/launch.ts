/**
 * One mpiexec with several programs in one MPI world. Ends only what it started: at its time limit or when told to, the
 * launcher gets SIGTERM, and after a few seconds its process group SIGKILL.
 */
import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export type MpiFamily = "mpich" | "openmpi";

export interface Program {
  readonly ranks: number;
  readonly command: readonly string[];
}

const patienceMs = 8_000;

/** Variables of a launcher that this process may itself run under: they would lead the ranks astray. */
const launcherVariables = /^(PMI_|PMIX_|PALS_|SLURM_|OMPI_COMM_|OMPI_MCA_|HYDI_|MPI_LOCALN|WEFTLINE_(?!ADDON$))/;

function onPath(name: string): string | undefined {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    if (existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}

function familyOf(mpiexec: string): MpiFamily | undefined {
  const { stdout } = spawnSync(mpiexec, ["--version"], { encoding: "utf8", timeout: 20_000 });
  if (/open.?mpi|OpenRTE/i.test(stdout)) return "openmpi";
  return /hydra|mpich|mvapich|intel/i.test(stdout) ? "mpich" : undefined;
}

/** The launcher of an MPI whose simulation was built; `wanted` undefined: the first one found. */
export function findMpi(
  wanted: string | undefined,
  simulationOf: (family: MpiFamily) => string,
): { readonly family: MpiFamily; readonly mpiexec: string } {
  if (wanted !== undefined && wanted !== "mpich" && wanted !== "openmpi") {
    throw new Error(`--mpi is '${wanted}'; it must be mpich or openmpi`);
  }
  const families: readonly MpiFamily[] = wanted === undefined ? ["mpich", "openmpi"] : [wanted];
  const looked: string[] = [];
  for (const family of families) {
    const suffixed = onPath(`mpiexec.${family}`);
    const plain = suffixed === undefined ? onPath("mpiexec") : undefined;
    const mpiexec = suffixed ?? (plain !== undefined && familyOf(plain) === family ? plain : undefined);
    const simulation = simulationOf(family);
    if (mpiexec !== undefined && existsSync(simulation)) return { family, mpiexec };
    looked.push(mpiexec === undefined ? `${family}: no mpiexec on PATH` : `${family}: ${simulation} was not built`);
  }
  throw new Error(
    `no MPI to launch with (${looked.join("; ")}); install mpich or openmpi and build again: npm run build`,
  );
}

function argumentsOf(family: MpiFamily, programs: readonly Program[]): string[] {
  // More ranks than cores, and every rank has threads: neither slots nor a binding to one core are wanted.
  const words = family === "openmpi" ? ["--oversubscribe", "--bind-to", "none"] : [];
  for (const [index, { ranks, command }] of programs.entries()) {
    words.push(...(index > 0 ? [":"] : []), "-n", String(ranks), ...command);
  }
  return words;
}

function environmentFor(family: MpiFamily): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !launcherVariables.test(name));
  const asRoot = family === "openmpi" && process.getuid?.() === 0;
  return {
    ...Object.fromEntries(kept),
    ...(asRoot ? { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" } : {}),
  };
}

/** Runs to the end; rejects with the end of the output when it failed. */
export async function launch(options: {
  readonly mpi: { readonly family: MpiFamily; readonly mpiexec: string };
  readonly programs: readonly Program[];
  readonly log: string;
  readonly limitS: number;
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
}): Promise<void> {
  const { mpi, programs, log, limitS, signal, onLine } = options;
  const words = argumentsOf(mpi.family, programs);
  const output = createWriteStream(log);
  output.write(`$ ${[mpi.mpiexec, ...words].join(" ")}\n`);
  const child = spawn(mpi.mpiexec, words, {
    env: environmentFor(mpi.family),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a process group of its own, so that it can be ended as a whole
  });
  let ended = "";
  let killTimer: NodeJS.Timeout | undefined;
  const end = (why: string): void => {
    if (ended !== "") return;
    ended = why;
    child.kill("SIGTERM");
    killTimer = setTimeout(() => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    }, patienceMs);
  };
  const limit = setTimeout(() => end(`it was ended after ${limitS} s, its time limit`), limitS * 1000);
  const onAbort = (): void => end("it was interrupted");
  signal.addEventListener("abort", onAbort, { once: true });
  const tail: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (text: string) => {
      output.write(text);
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        tail.push(line);
        onLine(line);
      }
      tail.splice(0, Math.max(0, tail.length - 40));
    });
  }
  try {
    const status = await new Promise<string>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, killedBy) => resolve(code === 0 ? "" : `it ended with ${killedBy ?? `status ${code}`}`));
    });
    if (ended !== "" || status !== "") {
      throw new Error(
        `the launch failed: ${ended || status}\n${tail.map((line) => `    ${line}`).join("\n")}\n  log: ${log}`,
      );
    }
  } finally {
    clearTimeout(limit);
    clearTimeout(killTimer);
    signal.removeEventListener("abort", onAbort);
    await new Promise((resolve) => output.end(resolve));
  }
}
