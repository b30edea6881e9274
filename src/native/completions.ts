/**
 * The completions of one job: native threads queue them, one wake-up per burst brings them to the JavaScript thread, and
 * this hands each to whoever waits for its tag. JavaScript thread only.
 *
 * The wake-up keeps the process alive only while somebody waits (`request`, `hold`), so that a program that forgot
 * nothing ends by itself.
 */
import { WeftError, asError, cancelled, throwIfAborted } from "../errors.js";
import type { ErrorCode } from "../errors.js";
import type { JobHandle, NativeBinding } from "./binding.js";

/** enum weft_completion_kind. */
export const completionKind = {
  control: 1,
  topic: 2,
  producer: 3,
  batch: 4,
  consumer: 5,
  frames: 6,
  data: 7,
  commit: 8,
  flush: 9,
  closed: 10,
  partition: 11,
  controlRequest: 12,
  log: 13,
  server: 14,
  seek: 15,
} as const;

/** Completions taken with one native call. */
const recordsPerPoll = 256;
const recordBytes = 64;

/** One completion that was kept. */
export interface Completion {
  readonly kind: number;
  readonly values: readonly [number, number, number, number];
  readonly handle: unknown;
  readonly text: string;
}

/** A completion while it is handed out: valid only during the handler's call. */
export class CompletionRecord {
  readonly #numbers: Uint32Array;
  readonly #signed: Int32Array;
  readonly #wide: BigUint64Array;
  readonly #extras: readonly unknown[];
  readonly #binding: NativeBinding;
  #index = 0;

  constructor(binding: NativeBinding, records: ArrayBuffer, extras: readonly unknown[]) {
    this.#binding = binding;
    this.#numbers = new Uint32Array(records);
    this.#signed = new Int32Array(records);
    this.#wide = new BigUint64Array(records);
    this.#extras = extras;
  }

  at(index: number): this {
    this.#index = index;
    return this;
  }
  get kind(): number {
    return this.#numbers[this.#index * 16] ?? 0;
  }
  get code(): number {
    return this.#signed[this.#index * 16 + 1] ?? 0;
  }
  get tag(): number {
    return this.#whole(2);
  }
  /** The tag of a control request, which is the library's own number. */
  get request(): bigint {
    return this.#wide[this.#index * 8 + 1] ?? 0n;
  }
  value(index: 0 | 1 | 2 | 3): number {
    return this.#whole(4 + 2 * index);
  }
  wideValue(index: 0 | 1 | 2 | 3): bigint {
    return this.#wide[this.#index * 8 + 2 + index] ?? 0n;
  }
  get text(): string {
    const extra = this.#extras[this.#index];
    return typeof extra === "string" ? extra : "";
  }
  get handle(): unknown {
    const extra = this.#extras[this.#index];
    return typeof extra === "object" ? extra : undefined;
  }
  /** The error of a code other than 0. */
  error(): WeftError {
    const code = (this.#binding.codeName(this.code) ?? "WEFT_INTERNAL") as ErrorCode;
    return new WeftError(code, this.text || (this.#binding.codeMeaning(this.code) ?? `code ${String(this.code)}`));
  }
  keep(): Completion {
    const values = [this.value(0), this.value(1), this.value(2), this.value(3)] as const;
    return { kind: this.kind, values, handle: this.handle, text: this.text };
  }

  #whole(word: number): number {
    const at = this.#index * 16 + word;
    return (this.#numbers[at] ?? 0) + (this.#numbers[at + 1] ?? 0) * 4_294_967_296;
  }
}

export type CompletionHandler = (record: CompletionRecord) => void;

/** A request to this server's control plane. Answer it with `binding.serverControlReply(server, request, …)`. */
export interface ControlRequest {
  readonly request: bigint;
  readonly session: number;
  readonly json: string;
}

export interface RequestHandling {
  readonly signal?: AbortSignal | undefined;
  /** Gets a completion that came after the signal: closes its handle. What it refers to stays referenced until then. */
  readonly late?: ((completion: Completion) => void) | undefined;
  /** Gets further completions of the tag, until it is unwatched. */
  readonly keep?: CompletionHandler | undefined;
  /** Sees a failed completion before the promise rejects. */
  readonly failed?: CompletionHandler | undefined;
  /** Sees the completion whatever it says, also one that came after the signal. */
  readonly settled?: CompletionHandler | undefined;
}

export class Completions {
  readonly binding: NativeBinding;
  readonly job: JobHandle;
  /** Servers: set it before the server is started. */
  onControlRequest: ((request: ControlRequest) => void) | undefined;
  /** Servers: a line for the log; level 0 debug, 1 info, 2 warning, 3 error. */
  onLog: ((level: number, line: string) => void) | undefined;

  readonly #records = new ArrayBuffer(recordsPerPoll * recordBytes);
  readonly #extras: unknown[] = new Array<unknown>(recordsPerPoll);
  readonly #record: CompletionRecord;
  readonly #handlers = new Map<number, CompletionHandler>();
  readonly #rejects = new Set<(error: WeftError) => void>();
  #tagLast = 0;
  #holds = 0;
  #closed = false;
  #draining = false;

  constructor(binding: NativeBinding, job: JobHandle) {
    this.binding = binding;
    this.job = job;
    this.#record = new CompletionRecord(binding, this.#records, this.#extras);
    binding.jobSetWake(job, () => {
      this.drain();
    });
  }

  /**
   * Starts an asynchronous native call with a fresh tag and resolves with its completion; rejects with its error. An
   * aborted signal rejects at once with WEFT_CANCELLED.
   */
  async request(what: string, start: (tag: number) => void, options: RequestHandling = {}): Promise<Completion> {
    const { signal, late, keep, failed, settled } = options;
    throwIfAborted(what, signal);
    if (this.#closed) throw new WeftError("WEFT_CLOSED", `${what}: the job was closed`);
    return await new Promise<Completion>((resolve, reject) => {
      let waiting = true;
      const release = this.hold();
      const settle = (): void => {
        waiting = false;
        this.#rejects.delete(fail);
        signal?.removeEventListener("abort", abort);
        release();
      };
      const fail = (error: WeftError): void => {
        settle();
        reject(error);
      };
      const abort = (): void => {
        if (signal !== undefined) fail(cancelled(what, signal));
      };
      const tag = this.watch((record) => {
        // Frames may be announced before the consumer that they are for.
        if (record.kind === completionKind.frames) {
          keep?.(record);
          return;
        }
        settled?.(record);
        if (keep !== undefined && waiting && record.code === 0) this.rewatch(tag, keep);
        else this.unwatch(tag);
        if (!waiting) {
          if (record.code === 0) late?.(record.keep());
          return;
        }
        settle();
        if (record.code === 0) resolve(record.keep());
        else {
          failed?.(record);
          reject(record.error());
        }
      });
      this.#rejects.add(fail);
      signal?.addEventListener("abort", abort, { once: true });
      try {
        start(tag);
      } catch (error) {
        this.unwatch(tag);
        settle();
        reject(asError(error));
      }
    });
  }

  /** A fresh tag whose completions go to `handler` until `unwatch`. */
  watch(handler: CompletionHandler): number {
    const tag = ++this.#tagLast;
    this.#handlers.set(tag, handler);
    return tag;
  }
  /** Replaces the handler of a tag. */
  rewatch(tag: number, handler: CompletionHandler): void {
    this.#handlers.set(tag, handler);
  }
  unwatch(tag: number): void {
    this.#handlers.delete(tag);
  }

  /** Keeps the process alive until the returned function is called (once). */
  hold(): () => void {
    this.holdBegin();
    let held = true;
    return () => {
      if (held) this.holdEnd();
      held = false;
    };
  }
  holdBegin(): void {
    if (this.#holds++ === 0 && !this.#closed) this.binding.jobSetReferenced(this.job, true);
  }
  holdEnd(): void {
    if (--this.#holds === 0 && !this.#closed) this.binding.jobSetReferenced(this.job, false);
  }

  /** Calls `fail` when the job is closed; returns what takes it back. */
  onClosed(fail: (error: WeftError) => void): () => void {
    this.#rejects.add(fail);
    return () => {
      this.#rejects.delete(fail);
    };
  }

  /** Hands out all that is queued. */
  drain(): void {
    // A handler that waits for others, inside of this: its records must not take the place of those that are handed out.
    if (this.#draining) return;
    this.#draining = true;
    try {
      let taken = recordsPerPoll;
      while (taken === recordsPerPoll && !this.#closed) {
        taken = this.binding.jobPoll(this.job, this.#records, this.#extras);
        for (let index = 0; index < taken; index++) {
          this.#dispatch(this.#record.at(index));
          this.#extras[index] = undefined;
        }
      }
    } finally {
      this.#draining = false;
    }
  }
  /** Whether completions are being handed out: then `drain` does nothing. */
  get draining(): boolean {
    return this.#draining;
  }

  #dispatch(record: CompletionRecord): void {
    try {
      switch (record.kind) {
        case completionKind.controlRequest:
          this.onControlRequest?.({ request: record.request, session: record.value(0), json: record.text });
          return;
        case completionKind.log:
          this.onLog?.(record.value(0), record.text);
          return;
        default:
          this.#handlers.get(record.tag)?.(record);
      }
    } catch (error) {
      // A handler's own fault must neither lose the completions behind it nor go unseen.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Rejects everything that waits; nothing is handed out afterwards. Called before the job is closed. */
  close(): void {
    if (this.#closed) return;
    if (this.#holds > 0) this.binding.jobSetReferenced(this.job, false);
    this.#closed = true;
    const error = new WeftError("WEFT_CLOSED", "the job was closed");
    for (const reject of [...this.#rejects]) reject(error);
    this.#handlers.clear();
  }
}
