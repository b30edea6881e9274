/**
 * Memory that other threads write too, as data of events: only where the caller says so, for nothing here can see what they
 * do. JavaScript thread.
 */
import { invalid } from "../check.js";
import { WeftError } from "../errors.js";

/**
 * From `shared`.
 *
 * @example
 * ```ts
 * const region = out.register(shared(new SharedArrayBuffer(64 * 1024)));
 * ```
 */
export class SharedData {
  /** The memory. Its ArrayBuffer is the SharedArrayBuffer; the type is that which the rest of the API takes. */
  readonly bytes: Uint8Array<ArrayBuffer>;

  /** @internal Use `shared`. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
  }
}

/**
 * A SharedArrayBuffer, or a view of one, as data of an event or as memory to register. It is treated as any other: copied up
 * to 16 KiB, referenced above. The caller promises that no thread writes it during `push` (if it is copied), or until the
 * receipt completed or the region is idle (if it is referenced): else the event holds a mixture, which no checksum shows but
 * that of `guard`. WEFT_INVALID_ARGUMENT for memory that is not shared, or that may grow. Local.
 *
 * @example
 * ```ts
 * const field = new Float64Array(new SharedArrayBuffer(64 * 1024)); // worker threads compute in it
 * await out.push({ step: 1 }, shared(field)).wait(); // and are told only then to go on
 * ```
 */
export function shared(memory: SharedArrayBuffer | ArrayBufferView): SharedData {
  const bytes = ArrayBuffer.isView(memory)
    ? new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength)
    : isSharedBuffer(memory)
      ? new Uint8Array(memory)
      : undefined;
  if (bytes === undefined || !isSharedBuffer(bytes.buffer)) {
    throw invalid("the memory of shared()", memory, "a SharedArrayBuffer or a view of one");
  }
  if ((bytes.buffer as { readonly growable?: boolean }).growable === true) {
    throw invalid("the memory of shared()", memory, "a SharedArrayBuffer that cannot grow");
  }
  return new SharedData(bytes as unknown as Uint8Array<ArrayBuffer>);
}

export function isSharedBuffer(buffer: unknown): buffer is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;
}

/** Refused where nobody said `shared`. */
export function notShared(what: string): WeftError {
  return new WeftError(
    "WEFT_INVALID_ARGUMENT",
    `${what} lies in a SharedArrayBuffer, which other threads may write at any time`,
    { next: "give it as shared(memory), and let nobody write it until the receipt completed; or copy it" },
  );
}
