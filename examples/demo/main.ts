/**
 * The main job. Two launches on one data directory:
 *
 *   1. a server, two or more ranks of the Gray-Scott simulation (C), the analysis and the flights (TypeScript), in one
 *      MPI world: the simulation and the flights push, the analysis consumes both meanwhile;
 *   2. a server at another address and two consumers: a new one that finds every checksum again, and the named one from
 *      before, which goes on exactly behind its last committed event.
 *
 * Then a table, and exit status 0 only if nothing was lost, changed or repeated.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { judge, type Outcome } from "./judge.js";
import { findMpi, launch, type MpiFamily } from "./launch.js";
import { wholeNumber } from "./shared.js";

const help = `usage: npm run demo -- [options]
  --mpi mpich|openmpi   the MPI to launch with          (the first one found)
  --ranks N             ranks of the simulation         (2)
  --shape ROWSxCOLUMNS  cells of its grid               (512x512)
  --steps N             time steps                      (2400)
  --every N             each N-th step is pushed        (40)
  --records N           flights                         (all 200,000)
  --data DIR            data directory, kept            (a temporary one, removed)
  --keep                keep the temporary directory
  --output DIR          pictures                        (demo-output)
  --limit S             seconds that each launch may take (300)
  --json                the outcome as JSON on stdout
example: npm run demo -- --mpi openmpi --shape 1024x1024 --steps 1000
`;

function readOptions() {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const { values } = parseArgs({
    options: {
      ...{ mpi: text, ranks: text, shape: text, steps: text, every: text, records: text, data: text, output: text },
      ...{ limit: text, native: text, keep: flag, json: flag, help: flag },
    },
  });
  const native = values.native ?? process.env["WEFTLINE_NATIVE"];
  return {
    mpi: values.mpi,
    ranks: wholeNumber("ranks", values.ranks ?? "2", 2),
    shape: values.shape ?? "512x512",
    steps: wholeNumber("steps", values.steps ?? "2400", 4),
    every: wholeNumber("every", values.every ?? "40", 1),
    records: values.records === undefined ? undefined : wholeNumber("records", values.records, 4),
    data: values.data,
    output: resolve(values.output ?? "demo-output"),
    limitS: wholeNumber("limit", values.limit ?? "300", 1),
    /** Folder of the native build. */
    native: native ?? fileURLToPath(new URL("../../../native", import.meta.url)),
    keep: values.keep === true || values.data !== undefined,
    json: values.json === true,
    help: values.help === true,
  };
}
type Options = ReturnType<typeof readOptions>;

interface Places {
  readonly root: string;
  readonly data: string;
  readonly reports: readonly [string, string];
}

function makePlaces({ data }: Options): Places {
  const root = data === undefined ? mkdtempSync(join(tmpdir(), "weftline-demo-")) : resolve(data);
  if (existsSync(root) && readdirSync(root).length > 0) {
    throw new Error(`--data ${root} is not empty; give a new or an empty directory, for the demo counts what is in it`);
  }
  const places = { root, data: join(root, "data"), reports: [join(root, "first"), join(root, "second")] } as const;
  for (const folder of places.reports) mkdirSync(folder, { recursive: true });
  return places;
}

/** One line per launch, rewritten on a terminal with what each program said last. */
class Display {
  readonly #terminal = process.stderr.isTTY;
  readonly #latest = new Map<string, string>();
  readonly #beganMs = performance.now();

  constructor(private readonly label: string) {
    if (!this.#terminal) process.stderr.write(`${label} …\n`);
  }
  line(text: string): void {
    const what = /^(step|flights|analysis|replay) (?:step )?(\w+)(?: of (\w+))?/.exec(text);
    if (what === null) return;
    const [, name = "", number = "", of] = what;
    this.#latest.set(name, of === undefined ? `${name} ${number}` : `${name} ${number}/${of}`);
    if (!this.#terminal) return;
    const words = [...this.#latest.values()].join(" · ");
    process.stderr.write(`\r\x1b[K${this.label}: ${words}`.slice(0, Math.max(40, process.stderr.columns)));
  }
  end(how: string): void {
    const seconds = ((performance.now() - this.#beganMs) / 1000).toFixed(1);
    process.stderr.write(`${this.#terminal ? "\r\x1b[K" : ""}${this.label}: ${how} (${seconds} s)\n`);
  }
}

const program = (name: string): string[] => [process.execPath, fileURLToPath(new URL(`${name}.js`, import.meta.url))];

function firstLaunch(options: Options, places: Places, simulation: string) {
  const { steps, every, records } = options;
  const published = Math.floor(steps / every);
  const reports = places.reports[0];
  // About three quarters are acknowledged; the rest is left to the second launch.
  const acknowledged = Math.max(1, Math.floor((published * 3) / 4)) * every;
  const acknowledgedRecords = records === undefined ? 150_000 : Math.floor((records * 3) / 4);
  const pictureEvery = Math.max(1, Math.floor(published / 4)) * every;
  const server = ["--create", "--data", places.data, "--reports", reports, "--bind", "127.0.0.1"];
  const field = ["--shape", options.shape, "--steps", String(steps), "--every", String(every)];
  const publish = ["--output", "weftline", "--together", "--report", join(reports, "gray-scott")];
  const analysis = ["--reports", reports, "--pictures", options.output, "--picture-every", String(pictureEvery)];
  const position = ["--acknowledge-steps", String(acknowledged), "--acknowledge-records", String(acknowledgedRecords)];
  const flights = ["--reports", reports, ...(records === undefined ? [] : ["--records", String(records)])];
  return [
    { ranks: 1, command: [...program("server"), ...server] },
    { ranks: options.ranks, command: [simulation, ...field, ...publish] },
    { ranks: 1, command: [...program("analysis"), ...analysis, ...position] },
    { ranks: 1, command: [...program("flights"), ...flights] },
  ];
}

function secondLaunch(places: Places) {
  const reports = places.reports[1];
  return [
    { ranks: 1, command: [...program("server"), "--data", places.data, "--reports", reports, "--bind", "127.0.0.2"] },
    { ranks: 1, command: [...program("replay"), "--as", "new", "--reports", reports] },
    { ranks: 1, command: [...program("replay"), "--as", "analysis", "--reports", reports] },
  ];
}

function printTable(outcome: Outcome, output: string): void {
  const number = (value: number, digits = 0): string =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const table = new Table({
    head: ["", "events", "MB", "s", "events/s", "MB/s"],
    colAligns: ["left", "right", "right", "right", "right", "right"],
    style: { head: [], border: [] },
  });
  for (const { what, events, bytes, seconds } of outcome.rows) {
    const perSecond = (value: number): number => (seconds > 0 ? value / seconds : 0);
    const megabytes = bytes / 1e6;
    const rates = [number(perSecond(events)), number(perSecond(megabytes), 1)];
    table.push([what, number(events), number(megabytes, 1), number(seconds, 2), ...rates]);
  }
  const facts = new Table({ style: { head: [], border: [] } });
  const yes = (value: boolean): string => (value ? "yes" : "NO");
  const { committed, resumed, ranks } = outcome;
  facts.push(
    { "events lost": number(outcome.eventsLost) },
    { "replay identical": yes(outcome.replayIdentical) },
    {
      "continued exactly": `${yes(outcome.resumedExactly)} (${number(committed)} committed, then the other ${number(resumed)})`,
    },
    { ranks: `${ranks[0]}, then ${ranks[1]} at another address` },
    { pictures: `${outcome.pictures.length} in ${relative(process.cwd(), output) || "."}/` },
  );
  process.stdout.write(`\n${table.toString()}\n${facts.toString()}\n`);
  for (const problem of outcome.problems.slice(0, 20)) process.stdout.write(`PROBLEM: ${problem}\n`);
}

async function run(options: Options, places: Places, signal: AbortSignal): Promise<Outcome> {
  const simulationOf = (family: MpiFamily): string => join(options.native, "examples", `gray_scott_${family}`);
  const mpi = findMpi(options.mpi, simulationOf);
  const launches = [
    {
      label: `launch 1 (${mpi.family}): server, ${options.ranks} simulation, analysis, flights`,
      programs: firstLaunch(options, places, simulationOf(mpi.family)),
    },
    { label: `launch 2 (${mpi.family}): server, replay, analysis`, programs: secondLaunch(places) },
  ];
  for (const [index, { label, programs }] of launches.entries()) {
    const display = new Display(label);
    try {
      await launch({
        ...{ mpi, programs, signal, limitS: options.limitS },
        log: join(places.root, `launch-${index + 1}.log`),
        onLine: (line) => display.line(line),
      });
    } catch (error) {
      display.end("FAILED");
      throw error;
    }
    display.end("done");
  }
  return judge([places.reports[0], places.reports[1]], options.ranks);
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(help);
    return 0;
  }
  const places = makePlaces(options);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
  let kept = options.keep;
  try {
    const outcome = await run(options, places, interrupted.signal);
    if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
    else printTable(outcome, options.output);
    return outcome.problems.length === 0 ? 0 : 1;
  } catch (error) {
    kept ||= !interrupted.signal.aborted; // the logs are wanted now
    throw error;
  } finally {
    if (!kept) rmSync(places.root, { recursive: true, force: true });
    else process.stderr.write(`kept: ${places.root}\n`);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
