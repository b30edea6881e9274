/**
 * How the ranks of a group agree on a step: every rank gives its vote, rank 0 alone writes the commit, and all hear what
 * became of it. Over a communicator, or without MPI over the companion topic.
 */
import { WeftError } from "../errors.js";
import type { Communicator } from "../job/communicator.js";
import type { CommitRecord, PartRecord, Vote } from "./records.js";

/** Writes the commit, or that there is none; resolves when it is durable. Rank 0's. */
export type WriteCommit = (
  record: Pick<CommitRecord, "step" | "aborted" | "round" | "votesEnd">,
  parts: readonly PartRecord[],
) => Promise<void>;

export interface StepChannel {
  readonly rank: number;
  readonly size: number;
  readonly run: string;
  /** Whose word is missing while `agree` waits. */
  readonly waitsFor: string;
  /** Collective over the group: resolves when the step is committed, rejects on every rank when it is not. */
  agree(vote: Vote, write: WriteCommit, signal: AbortSignal | undefined): Promise<void>;
  /** The same value on all ranks: that of rank 0. Collective over the group. */
  ofFirst<T>(value: T, signal: AbortSignal | undefined): Promise<T>;
  close(): Promise<void>;
}

/** Why these votes make no step; undefined if they do. */
export function problemOf(votes: readonly Vote[]): string | undefined {
  const step = votes[0]?.step;
  for (const { rank, failure, step: voted } of votes) {
    if (failure !== undefined) return `rank ${rank}: ${failure}`;
    if (voted !== step) return `rank ${rank} is at step ${voted}, rank ${votes[0]?.rank ?? 0} at step ${step}`;
  }
  return undefined;
}

export function notCommitted(step: number, why: string): WeftError {
  return new WeftError("WEFT_STEP_FAILED", `step ${step} was not committed: ${why}`, {
    next: "its parts are seen by nobody; begin the step again on all ranks",
  });
}

export class CommunicatorChannel implements StepChannel {
  readonly rank: number;
  readonly size: number;
  readonly run: string;
  readonly waitsFor = "all ranks of its communicator";
  readonly #communicator: Communicator;

  private constructor(communicator: Communicator, run: string) {
    this.#communicator = communicator;
    this.rank = communicator.rank;
    this.size = communicator.size;
    this.run = run;
  }

  /** Collective over the communicator. */
  static async open(
    communicator: Communicator,
    run: string,
    signal: AbortSignal | undefined,
  ): Promise<CommunicatorChannel> {
    const [first = run] = await communicator.allgatherValues(run, { signal });
    return new CommunicatorChannel(communicator, first);
  }

  async agree(vote: Vote, write: WriteCommit, signal: AbortSignal | undefined): Promise<void> {
    const votes = await this.#communicator.allgatherValues(vote, { signal });
    const problem = problemOf(votes);
    // Everybody sees the same votes: where they make no step, nobody waits for rank 0.
    if (problem !== undefined) throw notCommitted(vote.step, problem);
    let failure: string | null = null;
    if (this.rank === 0) {
      try {
        await write(
          { step: vote.step, votesEnd: 0 },
          votes.flatMap(({ parts }) => parts),
        );
      } catch (error) {
        failure = `rank 0 could not write its commit: ${(error as Error).message}`;
      }
    }
    const told = await this.ofFirst(failure, signal);
    if (told !== null) throw notCommitted(vote.step, told);
  }

  async ofFirst<T>(value: T, signal: AbortSignal | undefined): Promise<T> {
    const [first = value] = await this.#communicator.allgatherValues(this.rank === 0 ? value : null, { signal });
    return first as T;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
