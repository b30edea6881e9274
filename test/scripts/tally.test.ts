// How test results are counted: a lost failure here would make every other test worthless.
import { describe, expect, it } from "vitest";
import { parseJunit, tallyNative } from "../../scripts/lib/native-tests.mjs";
import { emptyTally, judgeSkipped, totalsLine } from "../../scripts/lib/tally.mjs";
import { tallyVitest } from "../../scripts/lib/vitest.mjs";

const gtest = (cases: Record<string, "pass" | "fail" | "skip">) => ({
  failures: Object.values(cases).filter((result) => result === "fail").length,
  testsuites: [
    {
      name: "Suite",
      testsuite: Object.entries(cases).map(([name, result]) => ({
        name,
        status: "RUN",
        result: result === "skip" ? "SKIPPED" : "COMPLETED",
        ...(result === "fail"
          ? { failures: [{ failure: "client_test.cc:7\nExpected: 1\n\n  Actual: 2\nmore\n" }] }
          : {}),
      })),
    },
  ],
});

describe("tallyNative", () => {
  const programs = new Map([["wire", "test_wire"]]);

  it("counts the cases of a program, not the program", () => {
    const reports = new Map([["test_wire", [gtest({ a: "pass", b: "pass", c: "skip" })]]]);
    const tally = tallyNative([{ name: "wire", status: "run" }], programs, reports, "");
    expect(tally).toMatchObject({ passed: 2, failed: 0, skipped: ["Suite.c"] });
    expect(tally.names).toEqual(["wire", "Suite.a", "Suite.b", "Suite.c"]);
  });

  it("counts a failed case once, although ctest reports its program too", () => {
    const reports = new Map([["test_wire", [gtest({ a: "pass", b: "fail" })]]]);
    const tally = tallyNative([{ name: "wire", status: "fail" }], programs, reports, "");
    expect(tally).toMatchObject({ passed: 1, failed: 1 });
    expect(tally.failures).toEqual(["Suite.b\n      client_test.cc:7\n      Expected: 1\n      Actual: 2"]);
  });

  it("counts a crash without a report as one failure", () => {
    expect(tallyNative([{ name: "wire", status: "fail" }], programs, new Map(), "").failed).toBe(1);
  });

  it("counts a sanitizer's complaint at exit as a failure although every case passed", () => {
    const reports = new Map([["test_wire", [gtest({ a: "pass" })]]]);
    const output =
      "[  PASSED  ] 1 test.\n==7==ERROR: LeakSanitizer: detected memory leaks\n\nDirect leak\n    #0 0x1 in new\n    #1 0x2 in run\n";
    const tally = tallyNative([{ name: "wire", status: "fail", output }], programs, reports, "");
    expect(tally).toMatchObject({ passed: 1, failed: 1 });
    expect(tally.failures[0]).toMatch(/^wire .*\n +==7==ERROR: .* leaks\n +Direct leak\n +#1 0x2 in run$/);
  });

  it("counts a test that is no GoogleTest program as one, and one that was not run as skipped", () => {
    const outcomes = [
      { name: "script", status: "run" },
      { name: "gone", status: "notrun" },
    ];
    expect(tallyNative(outcomes, new Map(), new Map(), "x: ")).toMatchObject({
      passed: 1,
      failed: 0,
      skipped: ["x: gone"],
    });
  });

  it("reads ctest's JUnit file", () => {
    const text = `<testsuite>
      <testcase name="a" classname="a" time="0.1" status="run"><properties/>
      <testcase name="b" status="fail"><failure message=""/><properties/><system-out>1 &lt; 2 &amp;lt;
no</system-out></testcase>
      <testcase name="c" status="run"/>`;
    expect(parseJunit(text)).toEqual([
      { name: "a", status: "run", output: "" },
      { name: "b", status: "fail", output: "1 < 2 &lt;\nno" },
      { name: "c", status: "run", output: "" },
    ]);
  });
});

describe("tallyVitest", () => {
  it("counts tests, and a file that could not be run", () => {
    const report = {
      testResults: [
        {
          name: "/x/a.test.ts",
          status: "failed",
          assertionResults: [
            { status: "passed", fullName: "one" },
            {
              status: "failed",
              fullName: "two",
              failureMessages: ["AssertionError: expected 7 to be 20\n    at x.ts:1"],
            },
            { status: "skipped", fullName: "three" },
          ],
        },
        { name: "/x/b.test.ts", status: "failed", message: "no module", assertionResults: [] },
      ],
    };
    const tally = tallyVitest(report, "");
    expect(tally).toMatchObject({ passed: 1, failed: 2 });
    expect(tally.skipped).toHaveLength(1);
    expect(tally.failures[0]).toContain("two\n      AssertionError: expected 7 to be 20\n      at x.ts:1");
    expect(tally.failures[1]).toContain("b.test.ts (the file could not be run)\n      no module");
  });
});

describe("judgeSkipped", () => {
  const names = ["unit: a", "unit: b", "unit: c d", "normal: x"];
  const tally = () => ({ ...emptyTally(), passed: 3, skipped: ["unit: a", "unit: b"], names });
  const list = (...tests: string[]) => tests.map((test) => ({ test, reason: "needs a device" }));

  it("outside CI lets them be", () => {
    expect(judgeSkipped(tally(), [], { ci: false })).toMatchObject({ passed: 3, failed: 0 });
  });

  it("in CI fails each that is not listed with its reason", () => {
    const judged = judgeSkipped(tally(), [{ test: "unit: a", reason: "needs a device" }], { ci: true });
    expect(judged).toMatchObject({ failed: 1, skipped: ["unit: a"] });
    expect(judged.failures[0]).toContain("unit: b");
  });

  it("names entries that no test is called by, and in CI fails each", () => {
    const entries = list("unit: a", "unit: b*", "unit: renamed", "normal: Gone.*");
    expect(judgeSkipped(tally(), entries, { ci: false })).toMatchObject({
      failed: 0,
      unused: ["unit: renamed", "normal: Gone.*"],
    });
    const judged = judgeSkipped(tally(), entries, { ci: true });
    expect(judged.failed).toBe(2);
    expect(judged.failures[0]).toMatch(/^unit: renamed .*no test is called so/);
  });

  it("lets entries be for tests that ran this time, for parts that did not run, and after a crash", () => {
    const entries = list("unit: a", "unit: b", "unit: c*", "thread: x");
    expect(judgeSkipped(tally(), entries, { ci: true })).toMatchObject({ failed: 0, unused: [] });
    const crashed = { ...tally(), failed: 1, failures: ["unit: (crash)"] };
    expect(judgeSkipped(crashed, list("unit: a", "unit: b", "unit: gone"), { ci: true })).toMatchObject({ failed: 1 });
  });

  it("refuses an entry without a reason", () => {
    expect(() => judgeSkipped(tally(), [{ test: "unit: a", reason: "" }], { ci: true })).toThrow(/reason/);
  });
});

describe("totalsLine", () => {
  it("has the plain form", () => {
    expect(totalsLine({ ...emptyTally(), passed: 3 })).toBe("3 passed, 0 failed");
    expect(totalsLine({ ...emptyTally(), passed: 3, failed: 1, skipped: ["a"] })).toBe("3 passed, 1 failed, 1 skipped");
  });
});
