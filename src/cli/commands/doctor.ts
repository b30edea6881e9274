// weftline doctor: what this process, and the ranks of a launch, could use here; what is missing, and what helps.

import { type Command, Option } from "commander";
import { hostname } from "node:os";
import { asError, isWeftError } from "../../errors.js";
import { native } from "../../native/addon.js";
import type { NativeBinding } from "../../native/binding.js";
import { type ClientOptions, clientConfiguration, loadFor } from "../command-context.js";
import { checkClock } from "../doctor/clock.js";
import { checkDataDirectory } from "../doctor/data-directory.js";
import { bad, type Finding, findingLines, note, summary } from "../doctor/finding.js";
import { type Host, realHost } from "../doctor/host.js";
import { checkLimits } from "../doctor/limits.js";
import { checkMpi, launcherOf } from "../doctor/mpi.js";
import type { NativeReport } from "../doctor/native-report.js";
import { checkNetwork } from "../doctor/network.js";
import { doctorOfRanks } from "../doctor/ranks.js";
import { answer, runSelfTest } from "../doctor/self-test.js";
import { checkSharedMemory } from "../doctor/shared-memory.js";
import { checkNode, checkSoftware } from "../doctor/software.js";
import { EXIT } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";

interface DoctorOptions extends ClientOptions {
  data?: string;
  ranks?: boolean;
  selfTest: boolean;
  answer?: string;
}

interface Surroundings {
  readonly host: Host;
  readonly binding: NativeBinding;
  readonly data: string;
  readonly transports: string | undefined;
  readonly bind: string | undefined;
}

/** Everything but the network's speed. */
async function look(
  { host, binding, data, transports, bind }: Surroundings,
  first = true,
): Promise<{ findings: Finding[]; report: NativeReport }> {
  const report = JSON.parse(await binding.doctor({ transports, bindAddress: bind })) as NativeReport;
  const findings = [
    ...checkSoftware(binding.version, host.environment["WEFTLINE_ADDON"] ?? "this package's addon", report),
    ...checkNetwork(host, report),
    ...checkLimits(host, report),
    ...checkSharedMemory(host),
    ...(await checkMpi(host, report)),
    ...(first ? await checkDataDirectory(host, binding, data) : []),
    ...checkClock(host),
  ];
  return { findings, report };
}

async function one(terminal: Terminal, surroundings: Surroundings, selfTest: boolean): Promise<number> {
  const { binding, host, transports, bind } = surroundings;
  const { findings, report } = await look(surroundings);
  if (launcherOf(host.environment) !== undefined) {
    findings.push(
      note("launcher", "this looks at one process", "weftline doctor --ranks looks at all ranks of the launch"),
    );
  }
  const tested = selfTest ? await runSelfTest(binding, transports, bind) : { findings: [], selfTest: [] };
  findings.push(...tested.findings);
  const fine = findings.every(({ state }) => state !== "bad");
  if (terminal.json) {
    await terminal.writeJson({
      ok: fine,
      version: binding.version,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      host: hostname(),
      findings,
      native: report,
      selfTest: tested.selfTest,
    });
  } else {
    await terminal.write(findingLines(findings));
    await terminal.write(`${summary(findings)}\n`);
  }
  return fine ? EXIT.ok : EXIT.failed;
}

/** Without the addon there is one thing to say. */
async function withoutAddon(terminal: Terminal, error: unknown): Promise<number> {
  const next = isWeftError(error) ? error.next : "npm run build";
  const findings = [checkNode(process.version), bad("weftline", asError(error).message, next)];
  if (terminal.json) await terminal.writeJson({ ok: false, node: process.version, host: hostname(), findings });
  else await terminal.write(`${findingLines(findings)}${summary(findings)}\n`);
  return EXIT.failed;
}

async function doctor(terminal: Terminal, flags: DoctorOptions): Promise<number> {
  const configuration = clientConfiguration(terminal, flags);
  const data = loadFor(terminal, flags, { "server.data": { value: flags.data, flag: "--data" } }).text("server.data");
  let binding: NativeBinding;
  try {
    binding = native();
  } catch (error) {
    return await withoutAddon(terminal, error);
  }
  const surroundings: Surroundings = {
    host: realHost(terminal.streams.environment),
    binding,
    data: data ?? "weft",
    transports: configuration.text("network.transports"),
    bind: configuration.text("network.bind"),
  };
  const { transports, bind } = surroundings;
  if (flags.answer !== undefined) {
    await answer(terminal, binding, flags.answer, bind);
    return EXIT.ok;
  }
  if (flags.ranks !== true) return await one(terminal, surroundings, flags.selfTest);
  const options = { transports, bind, look: async (first: boolean) => (await look(surroundings, first)).findings };
  return (await doctorOfRanks(terminal, binding, options)) ? EXIT.ok : EXIT.failed;
}

export function addDoctor(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  program
    .command("doctor")
    .description(
      "Looks at what Weftline needs here, sends bytes through each transport, and says what is missing and what helps.",
    )
    .option("--data <directory>", "that a server would use (default: WEFTLINE_DATA, else ./weft); it is not made")
    .option("--transports <list>", 'fabric providers to use, such as "tcp,shm"')
    .option("--bind <address>", "numeric address of the interface to use")
    .option("--ranks", "under a launcher: all ranks, and the network between their nodes; rank 0 prints")
    .option("--no-self-test", "send nothing")
    .addOption(new Option("--answer <transports>", "the other half of the self-test").hideHelp())
    .addHelpText(
      "after",
      `
Examples:
  weftline doctor --data /scratch/me/weft
  weftline doctor --json
  mpiexec -n 4 weftline doctor --ranks
  srun --mpi=pmi2 -N 2 -n 4 weftline doctor --ranks

The exit status is 1 if a line is bad.`,
    )
    .action(async (_options: unknown, command: Command) => {
      done(await doctor(terminal, command.optsWithGlobals<DoctorOptions>()));
    });
}
