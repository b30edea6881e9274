// Runs ctest and counts GoogleTest cases: every program writes its own JSON report, and ctest's JUnit file says
// which programs ended badly. A program that crashed before it could report counts as one failure.
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { capture, findProgram } from "./command.mjs";
import { variants } from "./native-build.mjs";
import { nativeSource, reportFolder } from "./paths.mjs";
import { StepFailure } from "./steps.mjs";
import { emptyTally, failureOf } from "./tally.mjs";

/** Adds the cases of one GoogleTest JSON report. */
export function addGtestReport(tally, report, prefix) {
  for (const suite of report.testsuites ?? []) {
    for (const test of suite.testsuite ?? []) {
      const name = `${prefix}${suite.name}.${test.name}`;
      tally.names.push(name);
      if (test.status === "NOTRUN") continue;
      if (test.result === "SKIPPED") tally.skipped.push(name);
      else if ((test.failures ?? []).length > 0) {
        tally.failed += 1;
        tally.failures.push(failureOf(name, test.failures[0].failure));
      } else tally.passed += 1;
    }
  }
}

/** Name, outcome and output of each ctest test, from ctest's JUnit file. */
export function parseJunit(text) {
  const cases = text.matchAll(
    /<testcase name="([^"]*)"[^>]*\bstatus="([^"]*)"(?:(?:(?!<testcase )[^])*?<system-out>([^<]*)<)?/g,
  );
  return [...cases].map(([, name, status, output = ""]) => ({ name, status, output: plainText(output) }));
}

const entities = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
const plainText = (xml) => xml.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, entity) => entities[entity]);

/** What a program that ended badly said last: a sanitizer's report from its beginning, else the last lines. */
function lastWords(output) {
  const report = output.search(/^(==\d+==ERROR: |WARNING: ThreadSanitizer|.*: runtime error: )/m);
  if (report !== -1) return output.slice(report).replaceAll(/^\s*#0 .*\n/gm, "");
  return output.trimEnd().split("\n").slice(-3).join("\n");
}

/**
 * @param {{ name: string, status: string, output?: string }[]} outcomes of ctest; status: run, fail, notrun or disabled
 * @param {Map<string, string>} programs base name of the GoogleTest program of each ctest test
 * @param {Map<string, object[]>} reports GoogleTest reports by program
 */
export function tallyNative(outcomes, programs, reports, prefix) {
  const tally = emptyTally();
  const counted = new Set();
  for (const { name, status, output = "" } of outcomes) {
    const program = programs.get(name);
    const own = (program !== undefined && reports.get(program)) || [];
    const before = tally.failed;
    tally.names.push(`${prefix}${name}`);
    if (own.length > 0 && !counted.has(program)) {
      counted.add(program);
      for (const report of own) addGtestReport(tally, report, prefix);
    } else if (status === "run" && own.length === 0) tally.passed += 1;
    const reported = own.some((report) => (report.failures ?? 0) > 0) || tally.failed > before;
    if (status === "notrun" || status === "disabled") tally.skipped.push(`${prefix}${name}`);
    else if (status !== "run" && !reported) {
      tally.failed += 1;
      const badly = `${prefix}${name} (the program ended badly: crash, time limit or sanitizer)`;
      tally.failures.push(failureOf(badly, lastWords(output)));
    }
  }
  return tally;
}

function programsOf(folder) {
  const { status, stdout, stderr } = capture("ctest", ["--test-dir", folder, "--show-only=json-v1"]);
  if (status !== 0) throw new StepFailure(`ctest cannot list the tests of ${folder}: ${stderr.trim()}`);
  const tests = JSON.parse(stdout).tests ?? [];
  const program = (test) =>
    (test.command ?? []).map((part) => path.basename(part)).find((part) => part.startsWith("test_"));
  return new Map(tests.map((test) => [test.name, program(test)]).filter(([, name]) => name !== undefined));
}

function readReports(folder) {
  const reports = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    // a program that ran more than once, or on several ranks, wrote NAME.json, NAME_1.json, …
    const program = file.replace(/(_\d+)?\.json$/, "");
    let report;
    try {
      report = JSON.parse(readFileSync(path.join(folder, file), "utf8"));
    } catch {
      continue; // cut short by a crash: ctest's own outcome counts it
    }
    reports.set(program, [...(reports.get(program) ?? []), report]);
  }
  return reports;
}

/** Options of the sanitizers; suppressions lie beside the native tests where there are any. */
function sanitizerEnvironment(variant) {
  const suppressions = (name) =>
    readdirSync(path.join(nativeSource, "test")).includes(name)
      ? `:suppressions=${path.join(nativeSource, "test", name)}`
      : "";
  if (variant === "address") {
    return {
      ASAN_OPTIONS: "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
      LSAN_OPTIONS: `print_suppressions=0${suppressions("lsan.supp")}`,
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
    };
  }
  if (variant === "thread")
    return { TSAN_OPTIONS: `halt_on_error=1:second_deadlock_stack=1${suppressions("tsan.supp")}` };
  return {};
}

/** ThreadSanitizer of this compiler cannot map its shadow where the kernel randomizes addresses with more bits. */
function tsanWrapper() {
  const bitsFile = "/proc/sys/vm/mmap_rnd_bits";
  let bits;
  try {
    bits = Number(readFileSync(bitsFile, "utf8"));
  } catch {
    return []; // not readable here: try without
  }
  return bits > 28 && findProgram("setarch") && capture("setarch", ["-R", "true"]).status === 0
    ? ["setarch", "-R"]
    : [];
}

/** ThreadSanitizer reports what it sees inside the MPI libraries: it runs what is ours alone. */
const labelsLeftOut = { normal: "long", address: "long", thread: "long|mpi_ranks" };

/** Most tests wait for processes and time limits of their own: more of them at once than there are cores. */
const parallelOf = { normal: 4, address: 3, thread: 2 };

export function nativeTestStep({ name, variant, needs, onlyLabel, parallel = parallelOf[variant] }) {
  return {
    name,
    needs,
    next: "run one program by hand, as build/native*/test/LAYER/test_NAME --gtest_filter=Suite.Case",
    run: async (step) => {
      const { folder } = variants[variant];
      const reports = path.join(reportFolder, `gtest-${variant}`);
      const junit = path.join(reportFolder, `ctest-${variant}.xml`);
      rmSync(reports, { recursive: true, force: true });
      rmSync(junit, { force: true });
      mkdirSync(reports, { recursive: true });
      const [program, ...args] = [
        ...(variant === "thread" ? tsanWrapper() : []),
        ...["ctest", "--test-dir", folder, "--output-on-failure", "--no-tests=error", "--output-junit", junit],
        ...[
          "--parallel",
          String(parallel),
          ...(onlyLabel ? ["-L", `^(${onlyLabel})$`] : ["-LE", `^(${labelsLeftOut[variant]})$`]),
        ],
      ];
      const { status, reason } = await step.run(program, args, {
        allowFailure: true,
        timeoutS: 5400,
        env: { GTEST_OUTPUT: `json:${reports}/`, GTEST_COLOR: "no", ...sanitizerEnvironment(variant) },
      });
      let outcomes;
      try {
        outcomes = parseJunit(readFileSync(junit, "utf8"));
      } catch (error) {
        throw new StepFailure(`ctest left no report (${reason || error.message})`);
      }
      // the longer loops are a part of their own, for which test/skipped.json would name other tests
      const part = onlyLabel ? `${variant} ${onlyLabel}: ` : `${variant}: `;
      const tally = tallyNative(outcomes, programsOf(folder), readReports(reports), part);
      step.note = `${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`;
      if (status !== 0 || tally.failed > 0) {
        const failure = new StepFailure(`${tally.failed} native test(s) failed (${reason})`);
        failure.value = { tally: tally.failed > 0 ? tally : { ...tally, failed: 1, failures: [`ctest: ${reason}`] } };
        throw failure;
      }
      return { tally };
    },
  };
}
