/**
 * A group without MPI: votes are events of the companion's partition 1, which rank 0 reads; the others wait for the commit in
 * partition 0. Votes of other starts of the group, by their `run`, and those that came too late for their round, count for nothing.
 * Every wait ends with its signal.
 */
import { Consumer } from "../consumer/consumer.js";
import type { Event } from "../consumer/event.js";
import { all } from "../consumer/selection.js";
import { Producer } from "../producer/producer.js";
import type { TopicContext } from "../topic/context.js";
import { type StepChannel, type WriteCommit, notCommitted, problemOf } from "./channel.js";
import {
  type CommitRecord,
  type Vote,
  type VoteRecord,
  commitPartition,
  decodeParts,
  encodeParts,
  votePartition,
} from "./records.js";

export interface LogGroup {
  /** From 0. */
  readonly rank: number;
  readonly size: number;
  /** Of this start of the group: the same text on all its ranks, and another one at each start. */
  readonly run: string;
}

const listedMax = 8;
const listOf = (ranks: readonly number[]): string =>
  ranks.slice(0, listedMax).join(", ") + (ranks.length > listedMax ? `, … (${ranks.length})` : "");

export class LogChannel implements StepChannel {
  readonly rank: number;
  readonly size: number;
  readonly run: string;
  waitsFor = "its server";
  /** Rank 0: of votes; else of commits. */
  readonly #reader: Consumer<VoteRecord | CommitRecord>;
  readonly #voter: Producer | undefined;
  /** Decisions so far. */
  #round = 0;
  /** Behind the last vote that was read. */
  #votesEnd: number;

  private constructor(
    group: LogGroup,
    reader: Consumer<VoteRecord | CommitRecord>,
    voter: Producer | undefined,
    votesEnd: number,
  ) {
    this.#votesEnd = votesEnd;
    this.rank = group.rank;
    this.size = group.size;
    this.run = group.run;
    this.#reader = reader;
    this.#voter = voter;
  }

  /** `votesFrom`, `commitsFrom`: offsets where votes, and commits, of this start can begin. */
  static async open(
    companion: TopicContext,
    group: LogGroup,
    { votesFrom, commitsFrom }: { readonly votesFrom: number; readonly commitsFrom: number },
    signal: AbortSignal | undefined,
  ): Promise<LogChannel> {
    const isFirst = group.rank === 0;
    const reader = new Consumer<VoteRecord | CommitRecord>(companion, {
      partitions: [isFirst ? votePartition : commitPartition],
      from: { offset: isFirst ? votesFrom : commitsFrom },
      select: all,
    });
    await reader.open({ signal });
    const voter = isFirst ? undefined : await Producer.open<unknown>(companion, { batchEvents: 1, signal });
    return new LogChannel(group, reader, voter, votesFrom);
  }

  async agree(vote: Vote, write: WriteCommit, signal: AbortSignal | undefined): Promise<void> {
    if (this.rank === 0) await this.#decide(vote, write, signal);
    else await this.#vote(vote, signal);
  }

  ofFirst<T>(value: T): Promise<T> {
    return Promise.resolve(value); // each reads the same log
  }

  async close(): Promise<void> {
    await this.#reader.close();
    await this.#voter?.close();
  }

  async #vote(vote: Vote, signal: AbortSignal | undefined): Promise<void> {
    const { step, rank, failure } = vote;
    const round = this.#round;
    this.waitsFor = "its server";
    const record: VoteRecord = { step, run: this.run, round, rank, failure };
    await this.#voter?.push(record, encodeParts(vote.parts), { partition: votePartition }).wait({ signal });
    this.waitsFor = "the commit by rank 0";
    const commit = await this.#next(signal, (event) => {
      const found = event.metadata as CommitRecord;
      return found.run === this.run && found.round === round ? found : undefined;
    });
    this.#round++;
    if (commit.aborted !== undefined) throw notCommitted(step, commit.aborted);
  }

  async #decide(own: Vote, write: WriteCommit, signal: AbortSignal | undefined): Promise<void> {
    const votes = new Map<number, Vote>([[0, own]]);
    const round = this.#round;
    while (votes.size < this.size && problemOf([...votes.values()]) === undefined) {
      const missing = Array.from({ length: this.size }, (_, rank) => rank).filter((rank) => !votes.has(rank));
      this.waitsFor = `the ${missing.length === 1 ? "vote of rank" : "votes of ranks"} ${listOf(missing)}`;
      const vote = await this.#next(signal, (event): Vote | undefined => {
        const { run, round: voted, rank, step, failure } = event.metadata as VoteRecord;
        this.#votesEnd = event.offset + 1;
        const counts = run === this.run && voted === round && rank > 0 && rank < this.size;
        return counts ? { rank, step, failure, parts: decodeParts(event.data, `the vote of rank ${rank}`) } : undefined;
      });
      votes.set(vote.rank, vote);
    }
    const inOrder = [...votes.values()].sort((left, right) => left.rank - right.rank);
    const aborted = problemOf(inOrder);
    const parts = aborted === undefined ? inOrder.flatMap((vote) => vote.parts) : [];
    try {
      await write({ step: own.step, round, votesEnd: this.#votesEnd, aborted }, parts);
      this.#round++;
    } catch (error) {
      throw notCommitted(own.step, `rank 0 could not write its commit: ${(error as Error).message}`);
    }
    if (aborted !== undefined) throw notCommitted(own.step, aborted);
  }

  /** The first event that `choose` takes. */
  async #next<T>(
    signal: AbortSignal | undefined,
    choose: (event: Event<VoteRecord | CommitRecord>) => T | undefined,
  ): Promise<T> {
    for (;;) {
      for (const event of await this.#reader.pull({ max: 1, signal })) {
        const chosen = choose(event);
        if (chosen !== undefined) return chosen;
      }
    }
  }
}
