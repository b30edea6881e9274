/**
 * Where a producer without order (`ordering: "loose"`) sends its next batch: to the partition that has the fewest under
 * way, in turn among equals. JavaScript thread; once per batch.
 *
 * A partition is passed over while it has not answered for a while, as that of a stopped server, and, once a batch of it
 * failed, until a question to its server was answered: else the partition that loses everything would have the freest line.
 */

/** A partition that owes an answer for longer is passed over as long as another one answers. */
export const silentMs = 500;
/** Between two questions to the server of a partition that failed. */
export const askAgainMs = 1000;

interface Line {
  readonly partition: number;
  underWay: number;
  /** Since then it owes an answer. */
  owesSinceMs: number;
  /** When to ask whether it is back; undefined: it did not fail. Infinity: not at all, or somebody asks now. */
  askAtMs: number | undefined;
}

export class FreeLines {
  readonly #lines: readonly Line[];
  readonly #lineOf = new Map<number, Line>();
  readonly #underWayMax: number;
  readonly #ask: (partition: number) => Promise<unknown>;
  #next: number;

  /** Of these partitions. `ask` resolves when the server of a partition answers. `first`: which comes first, any number. */
  constructor(
    partitions: readonly number[],
    underWayMax: number,
    ask: (partition: number) => Promise<unknown>,
    first: number,
  ) {
    this.#lines = partitions.map((partition) => ({ partition, underWay: 0, owesSinceMs: 0, askAtMs: undefined }));
    for (const line of this.#lines) this.#lineOf.set(line.partition, line);
    this.#underWayMax = underWayMax;
    this.#ask = ask;
    this.#next = first % partitions.length;
  }

  /** The partition for the next batch; undefined if it should wait for an answer. `free`: one that has nothing under way. */
  choose(nowMs: number, { free }: { readonly free: boolean }): number | undefined {
    let best: Line | undefined;
    let bestRank = Infinity;
    const { length } = this.#lines;
    for (let step = 0; step < length; step++) {
      const line = this.#lines[(this.#next + step) % length];
      if (line === undefined) continue;
      const rank = this.#rank(line, nowMs);
      const isBetter = rank < bestRank || (rank === bestRank && line.underWay < (best?.underWay ?? 0));
      if (!isBetter) continue;
      best = line;
      bestRank = rank;
    }
    // Those of a better rank are waited for, though others may have room: what they are given comes through.
    if (best === undefined || best.underWay >= (free ? 1 : this.#underWayMax)) return undefined;
    return best.partition;
  }

  /** A batch was sent there. */
  sent(partition: number, nowMs: number): void {
    const line = this.#lineOf.get(partition);
    if (line === undefined) return;
    if (line.underWay++ === 0) line.owesSinceMs = nowMs;
    this.#next = (this.#lines.indexOf(line) + 1) % this.#lines.length;
  }

  /** A batch of it was stored. */
  stored(partition: number, nowMs: number): void {
    const line = this.#lineOf.get(partition);
    if (line === undefined) return;
    line.underWay--;
    line.owesSinceMs = nowMs;
    line.askAtMs = undefined;
  }

  /** A batch of it failed, `forGood` if every other one will. */
  failed(partition: number, nowMs: number, forGood: boolean): void {
    const line = this.#lineOf.get(partition);
    if (line === undefined) return;
    line.underWay--;
    line.owesSinceMs = nowMs;
    if (forGood) line.askAtMs = Infinity;
    else line.askAtMs ??= nowMs + askAgainMs;
  }

  /** 0: it answers; 1: it owes an answer for long; 2: its last batch failed. */
  #rank(line: Line, nowMs: number): 0 | 1 | 2 {
    if (line.askAtMs !== undefined) {
      if (nowMs >= line.askAtMs) this.#askNow(line, nowMs);
      return 2;
    }
    return line.underWay > 0 && nowMs - line.owesSinceMs > silentMs ? 1 : 0;
  }

  #askNow(line: Line, nowMs: number): void {
    line.askAtMs = Infinity;
    this.#ask(line.partition).then(
      () => {
        line.askAtMs = undefined;
      },
      () => {
        line.askAtMs = nowMs + askAgainMs;
      },
    );
  }
}
