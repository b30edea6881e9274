/** Ratios to the limits of the same run (bench/smoke.ts) beside the stored ones. They scatter more than counts do. */
export interface StoredRatios {
  /** Part of the stored value by which a ratio may be worse. */
  readonly tolerance: number;
  readonly values: Readonly<Record<string, number>>;
}

/** As bench/smoke.ts writes them. */
export interface SmokeResult {
  readonly name: string;
  readonly transport: string;
  /** "rate": more is better; "time": less is. */
  readonly kind: "rate" | "time";
  /** Of the median; absent where nothing is compared. */
  readonly floor?: number | undefined;
  readonly ratio: number;
}

export interface RatioRow {
  readonly name: string;
  readonly now: number;
  readonly before: number | undefined;
  readonly verdict: "ok" | "WORSE" | "better: store it" | "not stored";
}

export const ratioName = ({ name, transport }: Pick<SmokeResult, "name" | "transport">): string =>
  `${name}, ${transport}`;

export function compareRatios(results: readonly SmokeResult[], { tolerance, values }: StoredRatios): RatioRow[] {
  return results.map((result) => {
    const name = ratioName(result);
    const now = result.ratio;
    const before = values[name];
    if (before === undefined) return { name, now, before, verdict: "not stored" };
    const gain = result.kind === "rate" ? now / before : before / now;
    let verdict: RatioRow["verdict"] = "ok";
    if (!(gain >= 1 - tolerance)) verdict = "WORSE";
    else if (gain > 1 + tolerance) verdict = "better: store it";
    return { name, now, before, verdict };
  });
}

/** What is to be said of those that are worse; "" if there are none. */
export function worseText(rows: readonly RatioRow[]): string {
  return rows
    .filter(({ verdict }) => verdict === "WORSE")
    .map(
      ({ name, now, before }) =>
        `${name}: ${now.toFixed(2)} of its limit, ${String(before)} is stored: run it again on a quiet machine ` +
        `(npm run bench:smoke), then look for what was added`,
    )
    .join("\n");
}
