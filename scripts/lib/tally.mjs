// Counts of tests, added up over the tools that ran them, and the rule for skipped ones: in CI a skipped test
// is a failure unless test/skipped.json names it with its reason; and so is an entry there that no test is called by.

/** `names`: of all tests that are there, whatever became of them. */
export const emptyTally = () => ({ passed: 0, failed: 0, skipped: [], failures: [], names: [] });

export function addTally(into, more) {
  into.passed += more.passed;
  into.failed += more.failed;
  into.skipped.push(...more.skipped);
  into.failures.push(...more.failures);
  into.names.push(...more.names);
  return into;
}

const REASON_LINES = 3;
const REASON_COLUMNS = 240;

/** A failure with the beginning of its reason: of a run far away, often only the summary is left. */
export function failureOf(name, reason = "") {
  const lines = reason.split("\n").filter((line) => line.trim() !== "");
  return [name, ...lines.slice(0, REASON_LINES).map((line) => `    ${line.trim().slice(0, REASON_COLUMNS)}`)].join(
    "\n  ",
  );
}

/** @param {{ test: string, reason: string }[]} allowed the content of test/skipped.json; "…*" names all that begin so */
export function judgeSkipped(tally, allowed, { ci }) {
  for (const { test, reason } of allowed) {
    if (!test || !reason) throw new Error("test/skipped.json: every entry needs a test and a reason");
  }
  const isCalled = (name, test) => (test.endsWith("*") ? name.startsWith(test.slice(0, -1)) : name === test);
  const isAllowed = (name) => allowed.some(({ test }) => isCalled(name, test));
  const unused = unusedEntries(tally, allowed, isCalled);
  if (!ci) return { ...tally, unused };
  const refused = tally.skipped.filter((name) => !isAllowed(name));
  return {
    ...tally,
    failed: tally.failed + refused.length + unused.length,
    skipped: tally.skipped.filter(isAllowed),
    failures: [
      ...tally.failures,
      ...refused.map((name) => `${name} (skipped, and test/skipped.json does not list it)`),
      ...unused.map((test) => `${test} (test/skipped.json lists it, and no test is called so)`),
    ],
    unused,
  };
}

/**
 * Entries that no test of their part ("unit: ", "normal: ", …) is called by. A part that did not run says nothing, nor
 * does a run with failures: a program that crashed leaves its tests unnamed.
 */
function unusedEntries({ names, failed }, allowed, isCalled) {
  const partOf = (name) => name.slice(0, name.indexOf(": ") + 1);
  const parts = new Set(names.map(partOf));
  if (failed > 0) return [];
  return allowed
    .map(({ test }) => test)
    .filter((test) => parts.has(partOf(test)) && !names.some((name) => isCalled(name, test)));
}

export function totalsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`;
}
