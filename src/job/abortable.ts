/** Promises that a signal can end. */
import { cancelled, throwIfAborted } from "../errors.js";

/**
 * Runs `start(resolve)`; an aborted signal rejects with WEFT_CANCELLED and calls what `start` returned, which
 * takes the waiter back so that nothing of it is left behind.
 */
export async function abortable<T = void>(
  what: string,
  signal: AbortSignal | undefined,
  start: (resolve: (value: T) => void) => () => void,
): Promise<T> {
  throwIfAborted(what, signal);
  return await new Promise<T>((resolve, reject) => {
    const stopListening = (): void => signal?.removeEventListener("abort", abort);
    const withdraw = start((value) => {
      stopListening();
      resolve(value);
    });
    function abort(): void {
      withdraw();
      if (signal !== undefined) reject(cancelled(what, signal));
    }
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Settles as `promise` does; an aborted signal ends this waiting with WEFT_CANCELLED, and what is waited for goes on. */
export async function waitUnlessAborted<T>(
  what: string,
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await promise;
  const settled = promise.then(
    (value) => () => value,
    (error: unknown) => () => {
      throw error;
    },
  );
  const outcome = await abortable<() => T>(what, signal, (resolve) => {
    void settled.then(resolve);
    return () => undefined;
  });
  return outcome();
}

/** Resolves after so long, or rejects when the signal is aborted. */
export function sleep(what: string, delayMs: number, signal?: AbortSignal): Promise<void> {
  return abortable(what, signal, (resolve) => {
    const timer = setTimeout(() => {
      resolve();
    }, delayMs);
    return () => {
      clearTimeout(timer);
    };
  });
}
