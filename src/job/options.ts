/** Options of `join` and `attach`, and their check. */
import { checkInteger, checkMembers, checkName, checkSignal, checkText, checkTimeoutMs } from "../check.js";
import type { NativeJoinOptions } from "../native/binding.js";

export interface JoinOptions {
  /** Name of this program: ranks that join under the same one form a group. Default: "client". */
  readonly name?: string | undefined;
  /** Group directory; default WEFTLINE_GROUP, else what the servers say. */
  readonly group?: string | undefined;
  /** "tcp,shm": only those; default WEFTLINE_TRANSPORTS, else automatic. */
  readonly transports?: string | undefined;
  /** Numeric address of the interface to use; default WEFTLINE_BIND, else automatic. */
  readonly bind?: string | undefined;
  /** For connecting to the servers; default 30,000 ms. */
  readonly timeoutMs?: number | undefined;
  /** An event that is not acknowledged by then fails with WEFT_DELIVERY_TIMED_OUT; default 120,000 ms. */
  readonly deliveryTimeoutMs?: number | undefined;
  /**
   * Server slots to wait for, of all that the world or the group directory names. Default: at most 16 of them, and the
   * others when they are used.
   */
  readonly slotsExpected?: number | undefined;
  /**
   * No server, no fabric: batches are checked, answered at once, and handed to the consumers that the same job has open;
   * nothing is stored. Every name is a topic of two partitions, "raw…" of raw metadata. For tests of programs. Default
   * false.
   */
  readonly echo?: boolean | undefined;
  /** Looked at before `join` begins, which blocks; `attach` gives up at once when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

export type AttachOptions = Omit<JoinOptions, "group">;

const members = [
  "name",
  "group",
  "transports",
  "bind",
  "timeoutMs",
  "deliveryTimeoutMs",
  "slotsExpected",
  "echo",
  "signal",
];

export function nativeJoinOptions(what: string, options: JoinOptions): NativeJoinOptions {
  checkMembers(what, options, members);
  checkSignal(`signal of ${what}`, options.signal);
  return {
    role: "client",
    name: checkName(`name of ${what}`, options.name),
    group: checkText(`group of ${what}`, options.group),
    transports: checkText(`transports of ${what}`, options.transports),
    bindAddress: checkText(`bind of ${what}`, options.bind),
    timeoutMs: checkTimeoutMs(`timeoutMs of ${what}`, options.timeoutMs, undefined),
    deliveryTimeoutMs: checkInteger(
      `deliveryTimeoutMs of ${what}`,
      options.deliveryTimeoutMs,
      1,
      Number.MAX_SAFE_INTEGER,
      undefined,
    ),
    slotsExpected: checkInteger(`slotsExpected of ${what}`, options.slotsExpected, 1, 65_536, undefined),
    echo: options.echo === true,
  };
}
