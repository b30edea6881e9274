// Runs vitest projects and counts their tests from its JSON report.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { reportFolder, root, tool } from "./paths.mjs";
import { StepFailure } from "./steps.mjs";
import { emptyTally, failureOf } from "./tally.mjs";

export function tallyVitest(report, prefix) {
  const tally = emptyTally();
  for (const file of report.testResults ?? []) {
    const before = tally.failed;
    for (const test of file.assertionResults ?? []) {
      const name = `${prefix}${path.relative(root, file.name)} ${test.fullName}`;
      tally.names.push(name);
      if (test.status === "passed") tally.passed += 1;
      else if (test.status === "failed") {
        tally.failed += 1;
        tally.failures.push(failureOf(name, test.failureMessages?.[0]));
      } else tally.skipped.push(name);
    }
    if (file.status === "failed" && tally.failed === before) {
      tally.failed += 1;
      const name = `${prefix}${path.relative(root, file.name)} (the file could not be run)`;
      tally.failures.push(failureOf(name, file.message));
    }
  }
  return tally;
}

export function vitestStep({ name, project, needs, timeoutS = 1800 }) {
  return {
    name,
    needs,
    next: `run it alone: node_modules/.bin/vitest run --project ${project} FILE -t 'NAME'`,
    run: async (step) => {
      const output = path.join(reportFolder, `vitest-${project}.json`);
      mkdirSync(reportFolder, { recursive: true });
      rmSync(output, { force: true });
      const { status, reason } = await step.run(
        tool("vitest"),
        ["run", "--project", project, "--reporter=default", "--reporter=json", `--outputFile.json=${output}`],
        { allowFailure: true, timeoutS, env: { NO_COLOR: "1", FORCE_COLOR: undefined } },
      );
      let report;
      try {
        report = JSON.parse(readFileSync(output, "utf8"));
      } catch (error) {
        throw new StepFailure(`vitest left no report (${reason || error.message})`);
      }
      const tally = tallyVitest(report, `${project}: `);
      step.note = `${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`;
      if (status !== 0 || tally.failed > 0) {
        const failure = new StepFailure(`${tally.failed} test(s) failed (${reason})`);
        const outside = { ...tally, failed: 1, failures: [`${project}: an error outside of any test (${reason})`] };
        failure.value = { tally: tally.failed > 0 ? tally : outside };
        throw failure;
      }
      return { tally };
    },
  };
}
