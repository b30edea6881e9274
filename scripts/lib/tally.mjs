// Counts of tests, added up over the tools that ran them, and the rule for skipped ones: in CI a skipped test
// is a failure unless test/skipped.json names it with its reason.

export const emptyTally = () => ({ passed: 0, failed: 0, skipped: [], failures: [] });

export function addTally(into, more) {
  into.passed += more.passed;
  into.failed += more.failed;
  into.skipped.push(...more.skipped);
  into.failures.push(...more.failures);
  return into;
}

/** @param {{ test: string, reason: string }[]} allowed the content of test/skipped.json; "…*" names all that begin so */
export function judgeSkipped(tally, allowed, { ci }) {
  for (const { test, reason } of allowed) {
    if (!test || !reason) throw new Error("test/skipped.json: every entry needs a test and a reason");
  }
  const isAllowed = (name) =>
    allowed.some(({ test }) => (test.endsWith("*") ? name.startsWith(test.slice(0, -1)) : name === test));
  if (!ci) return tally;
  const refused = tally.skipped.filter((name) => !isAllowed(name));
  return {
    passed: tally.passed,
    failed: tally.failed + refused.length,
    skipped: tally.skipped.filter(isAllowed),
    failures: [
      ...tally.failures,
      ...refused.map((name) => `${name} (skipped, and test/skipped.json does not list it)`),
    ],
  };
}

export function totalsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`;
}
