/** Counts of instructions beside the stored ones. */

export interface Counted {
  /** Major version: another one makes other instructions. */
  readonly compiler: string;
  readonly architecture: string;
  readonly perEvent: Readonly<Record<string, number>>;
}
export interface Stored extends Counted {
  /** Part of the stored value by which a count may be above it. */
  readonly tolerance: number;
}

export interface Row {
  readonly name: string;
  readonly now: number;
  readonly before: number;
  readonly ratio: number;
  readonly verdict: "ok" | "MORE" | "less: store it" | "not comparable";
}

/** `few` and `many`: of whole runs that differ by `events`. */
export function instructionsPerEvent(few: number, many: number, events: number): number {
  return Math.round((many - few) / events);
}

export function compare(counted: Counted, stored: Stored): Row[] {
  const comparable = counted.compiler === stored.compiler && counted.architecture === stored.architecture;
  return Object.entries(counted.perEvent).map(([name, now]) => {
    const before = stored.perEvent[name] ?? NaN;
    const ratio = now / before;
    let verdict: Row["verdict"] = "ok";
    if (!comparable) verdict = "not comparable";
    else if (!(ratio <= 1 + stored.tolerance)) verdict = "MORE";
    else if (ratio < 1 - stored.tolerance) verdict = "less: store it";
    return { name, now, before, ratio, verdict };
  });
}

/** What is to be said, and whether it is a failure. Nothing counted, or nothing stored, is one. */
export function verdictOf(rows: readonly Row[]): { readonly failed: boolean; readonly text: string } {
  if (rows.length === 0) return { failed: true, text: "nothing was counted" };
  const more = rows.filter(({ verdict }) => verdict === "MORE");
  const lines = more.map(
    ({ name, now, before }) =>
      `${name}: ${now} instructions an event, ${before} are stored: look for what was added (callgrind shows it), or ` +
      `store the new count with \`npm run bench:guard -- --store\` and say why in the commit`,
  );
  if (rows.some(({ verdict }) => verdict === "not comparable"))
    lines.push("another compiler or processor than the stored counts: nothing was compared");
  return { failed: more.length > 0, text: lines.join("\n") };
}
