/**
 * Collectives for the application's own use, over MPI. Each is a promise over a non-blocking MPI call that is tested
 * with a back-off of up to 1 ms, so that JavaScript goes on meanwhile. On the thread that joined. Collective: every rank
 * of the communicator makes the same calls in the same order; do not start a second one before the first resolved unless
 * all ranks do.
 */
import { viewBytes } from "./region.js";
import { checkInteger, invalid } from "../check.js";
import { WeftError, asError, throwIfAborted } from "../errors.js";
import type { CollectiveHandle, CommunicatorHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";

/** Tests made at once in a row before the timer takes over: short collectives are done by then. */
const testsAtOnceMax = 50;
/** MPI polled each millisecond costs 1 % of a core. */
const testIntervalMs = 1;

export interface CollectiveOptions {
  /**
   * Aborting stops the waiting, not the operation: MPI cannot take it back, and the other ranks still wait for each
   * other. Its memory stays untouched.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ranks that make collective calls together: `job.world`, or one that came from `split`. Every method is
 * collective over its ranks. All of them: WEFT_MPI (MPI's own words), WEFT_CANCELLED (the signal), WEFT_CLOSED (it was
 * freed, or the job closed). A rank that died is waited for: give a signal with a time limit.
 *
 * @example
 * ```ts
 * const seed = new Float64Array([job.rank === 0 ? Math.random() : 0]);
 * await job.world.broadcast(seed, { signal: AbortSignal.timeout(60_000) });
 * const names = await job.world.allgatherValues(`rank ${job.rank} of ${job.name}`);
 * const even = await job.world.split(job.rank % 2 === 0 ? 0 : -1);
 * ```
 */
export class Communicator {
  /** Of this process, from 0. */
  readonly rank: number;
  /** Number of ranks. */
  readonly size: number;
  readonly #completions: Completions;
  readonly #handle: CommunicatorHandle;
  readonly #splitOff: boolean;
  #freed = false;

  /** @internal */
  constructor(completions: Completions, handle: CommunicatorHandle, splitOff: boolean) {
    this.#completions = completions;
    this.#handle = handle;
    this.#splitOff = splitOff;
    const { rank, size } = completions.binding.communicatorSize(handle);
    this.rank = rank;
    this.size = size;
  }

  /** Resolves when every rank has called it. Collective. */
  async barrier(options: CollectiveOptions = {}): Promise<void> {
    throwIfAborted("barrier", options.signal);
    await this.#finish("barrier", this.#completions.binding.barrierStart(this.#handle), options.signal);
  }

  /**
   * `bytes` of the rank `root` (default 0) arrive in `bytes` of all others, which must be as long. At most 2,147,483,647
   * bytes (WEFT_LIMIT). Collective.
   */
  async broadcast(bytes: ArrayBufferView, options: CollectiveOptions & { readonly root?: number } = {}): Promise<void> {
    throwIfAborted("broadcast", options.signal);
    const root = checkInteger("root of broadcast", options.root, 0, this.size - 1, 0);
    const memory = viewBytes("the memory of broadcast", bytes);
    const collective = this.#completions.binding.broadcastStart(this.#handle, memory, root);
    await this.#finish("broadcast", collective, options.signal);
  }

  /** `from` of each rank (all as long), in order of rank; together at most 2,147,483,647 bytes (WEFT_LIMIT). Collective. */
  async allgather(from: ArrayBufferView, options: CollectiveOptions = {}): Promise<Uint8Array[]> {
    throwIfAborted("allgather", options.signal);
    const bytes = viewBytes("the memory of allgather", from);
    const into = new Uint8Array(bytes.byteLength * this.size);
    const collective = this.#completions.binding.allgatherStart(this.#handle, bytes, into);
    await this.#finish("allgather", collective, options.signal);
    return Array.from({ length: this.size }, (_, rank) =>
      into.subarray(rank * bytes.byteLength, (rank + 1) * bytes.byteLength),
    );
  }

  /**
   * A JSON value of each rank, in order of rank; they may differ in length. WEFT_INVALID_ARGUMENT if JSON has no text for
   * it. Two collectives.
   */
  async allgatherValues<T>(value: T, options: CollectiveOptions = {}): Promise<T[]> {
    const json = JSON.stringify(value) as string | undefined; // of undefined or a function there is none
    if (json === undefined) throw invalid("the value of allgatherValues", value, "a value that JSON can say");
    const text = new TextEncoder().encode(json);
    const lengths = (await this.allgather(new Uint32Array([text.byteLength]), options)).map((one) =>
      new DataView(one.buffer, one.byteOffset, 4).getUint32(0, true),
    );
    const padded = new Uint8Array(Math.max(1, ...lengths));
    padded.set(text);
    const all = await this.allgather(padded, options);
    return all.map((one, rank) => JSON.parse(new TextDecoder().decode(one.subarray(0, lengths[rank]))) as T);
  }

  /**
   * Ranks of the same `color` form a new communicator, ordered by `key` (default: as before); `color` -1 takes no part
   * and gets undefined. Collective over this communicator.
   */
  async split(
    color: number,
    key: number = this.rank,
    options: CollectiveOptions = {},
  ): Promise<Communicator | undefined> {
    throwIfAborted("split", options.signal);
    if (checkInteger("color of split", color, -1, 2 ** 31 - 1, undefined) === undefined) {
      throw invalid("color of split", color, `a whole number of -1 to ${2 ** 31 - 1}`);
    }
    checkInteger("key of split", key, -(2 ** 31), 2 ** 31 - 1, 0);
    const collective = this.#completions.binding.communicatorSplitStart(this.#handle, color, key);
    const handle = await this.#finish("split", collective, options.signal);
    return handle === null ? undefined : new Communicator(this.#completions, handle, true);
  }

  /**
   * Frees one that came from `split`, once its collectives have ended; the world's stays. A second call does nothing.
   * Collective: every rank of it frees it.
   */
  free(): void {
    if (this.#freed || !this.#splitOff) return;
    this.#freed = true;
    this.#completions.binding.communicatorFree(this.#handle);
  }

  /** Resolves with the communicator of a split, else with null. */
  async #finish(
    what: string,
    collective: CollectiveHandle,
    signal: AbortSignal | undefined,
  ): Promise<CommunicatorHandle | null> {
    const { binding } = this.#completions;
    for (let test = 0; test < testsAtOnceMax; test++) {
      const outcome = binding.collectiveTest(collective);
      if (outcome !== undefined) return outcome;
    }
    return await new Promise<CommunicatorHandle | null>((resolve, reject) => {
      const stop = (): void => {
        clearInterval(timer);
        signal?.removeEventListener("abort", abandon);
      };
      const timer = setInterval(() => {
        try {
          const outcome = binding.collectiveTest(collective);
          if (outcome === undefined) return;
          stop();
          resolve(outcome);
        } catch (error) {
          stop();
          reject(asError(error));
        }
      }, testIntervalMs);
      // It is tested further: MPI moves on only while somebody tests.
      const abandon = (): void => {
        timer.unref();
        reject(new WeftError("WEFT_CANCELLED", `${what}: its signal was aborted`, { cause: signal?.reason }));
      };
      signal?.addEventListener("abort", abandon, { once: true });
    });
  }
}
