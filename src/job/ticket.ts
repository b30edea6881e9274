/** What one thread of a process hands to others so that they use its job: plain text and a number. */
import { checkInteger, invalid } from "../check.js";
import type { NativeTicket } from "../native/binding.js";

/** From `job.share()`, for `openShared()` in a worker thread of the same process. May be posted, cloned, or stored. */
export interface JobTicket {
  /** Which process: 32 hexadecimal digits. */
  readonly process: string;
  /** Which of its jobs. */
  readonly job: number;
}

export function ticketOf(native: NativeTicket): JobTicket {
  return { process: Buffer.from(native.process).toString("hex"), job: native.number };
}

/** WEFT_INVALID_ARGUMENT for what `job.share()` cannot have made. */
export function nativeTicket(ticket: unknown): NativeTicket {
  if (typeof ticket !== "object" || ticket === null) throw invalid("the ticket", ticket, "what job.share() returned");
  const { process, job } = ticket as Partial<JobTicket>;
  if (typeof process !== "string" || !/^[0-9a-f]{32}$/.test(process)) {
    throw invalid("process of the ticket", process, "32 hexadecimal digits, as in what job.share() returned");
  }
  const number = checkInteger("job of the ticket", job, 1, Number.MAX_SAFE_INTEGER, undefined);
  if (number === undefined) throw invalid("job of the ticket", job, "the number in what job.share() returned");
  return { process: Buffer.from(process, "hex"), number };
}
