// What a check of `weftline doctor` found: one short line, how bad it is, and what helps.

/** "note" works, but less well than it could, or not everywhere; "bad" does not work. */
export type State = "ok" | "note" | "bad";

export interface Finding {
  /** "libfabric", "limit memlock", "data": what was looked at. Stable, for scripts. */
  readonly area: string;
  readonly state: State;
  readonly text: string;
  /** What to do about it. */
  readonly remedy?: string;
}

export const ok = (area: string, text: string): Finding => ({ area, state: "ok", text });
export const note = (area: string, text: string, remedy?: string): Finding => ({
  area,
  state: "note",
  text,
  ...(remedy === undefined ? {} : { remedy }),
});
export const bad = (area: string, text: string, remedy: string): Finding => ({ area, state: "bad", text, remedy });

/** A message of the native core tells the next step behind a semicolon or "use": what is wrong, and what helps. */
export function badOf(area: string, message: string, remedy: string): Finding {
  const [text = "", ...next] = message.split(/; |: (?=use |build |unset )/);
  return bad(area, text, next.length > 0 ? next.join("; ") : remedy);
}

/** A line each, the remedy in a line of its own below. */
export function findingLines(findings: readonly Finding[], indent = ""): string {
  const width = Math.max(0, ...findings.map(({ area }) => area.length));
  return findings
    .map(({ area, state, text, remedy }) => {
      const line = `${indent}${state.padEnd(4)}  ${area.padEnd(width)}  ${text}\n`;
      return remedy === undefined ? line : `${line}${indent}${" ".repeat(6 + width + 2)}-> ${remedy}\n`;
    })
    .join("");
}

/** "2 bad, 1 note, 14 ok". */
export function summary(findings: readonly Finding[]): string {
  const count = (wanted: State): number => findings.filter(({ state }) => state === wanted).length;
  return `${count("bad")} bad, ${count("note")} ${count("note") === 1 ? "note" : "notes"}, ${count("ok")} ok`;
}
