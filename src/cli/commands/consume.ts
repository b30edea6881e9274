// weftline consume: events out as NDJSON, one object a line, the metadata as the bytes that were stored.
//
// With --name the position is committed behind what was written to stdout, when stdout has taken it: after a crash, or a
// reader that went away, some events come again, none is left out.

import type { Command } from "commander";
import type { Consumer } from "../../consumer/consumer.js";
import type { Event } from "../../consumer/event.js";
import { isWeftError, WeftError } from "../../errors.js";
import { recordToJson } from "../../packed/json.js";
import type { Topic } from "../../topic/topic.js";
import { type ClientOptions, openJob } from "../command-context.js";
import { EXIT, exitCodeOfSignal } from "../exit-codes.js";
import { formatTimeNs, type From, parseFrom, parsePartitions, parseUntil, type Until } from "../positions.js";
import { grouped, ReaderGone, type Terminal } from "../terminal.js";
import { addClientOptions } from "./client-options.js";

interface ConsumeFlags extends ClientOptions {
  name?: string;
  from?: string;
  until?: string;
  partition?: string;
  metadataOnly?: boolean;
}

const WRITE_CHARACTERS = 64 * 1024;
const COMMIT_MS = 1000;
const PULL_EVENTS = 1024;
const PULL_MS = 100;

export type PrintableEvent = Pick<
  Event,
  "partition" | "offset" | "timeNs" | "dataLength" | "metadata" | "metadataText" | "metadataBytes"
>;

/** The JSON text of an event's metadata: as it is stored, or of what it means. undefined: it has none. */
function textOf(
  event: PrintableEvent,
  { serializer, codec, custom }: Pick<Topic, "serializer" | "codec" | "custom">,
): string | undefined {
  if (serializer === "json") return event.metadataText;
  try {
    if (custom !== undefined) return JSON.stringify(event.metadata);
    if (codec === undefined) return undefined;
    return recordToJson(codec.layout, event.metadata as Record<string, unknown>);
  } catch (error) {
    if (isWeftError(error, "WEFT_METADATA_INVALID")) return undefined; // it is shown as the bytes that it is
    throw error;
  }
}

/** One line; JSON metadata as it is stored, a record or what a topic's own serializer reads as JSON, all other metadata in base64. */
export function eventLine(
  event: PrintableEvent,
  topic: Pick<Topic, "serializer" | "codec" | "custom">,
  metadataOnly: boolean,
): string {
  const text = textOf(event, topic);
  if (metadataOnly && text !== undefined) return `${text}\n`;
  const metadata =
    text === undefined
      ? `"metadataBase64":"${Buffer.from(event.metadataBytes).toString("base64")}"`
      : `"metadata":${text}`;
  if (metadataOnly) return `{${metadata}}\n`;
  const data = event.dataLength === 0 ? "" : `"dataBytes":${event.dataLength},`;
  return `{"partition":${event.partition},"offset":${event.offset},"time":"${formatTimeNs(event.timeNs)}",${data}${metadata}}\n`;
}

/** Which events are still wanted. `offset:N` ends each partition before N. */
export class UntilRule {
  private readonly reached = new Set<number>();
  private taken = 0;

  constructor(
    private readonly until: Until,
    private readonly partitions: readonly number[],
  ) {}

  /** Whether this event is to be written; to be called once per event, in order. */
  takes(partition: number, offset: number): boolean {
    if (this.until.kind === "count") return this.taken++ < this.until.count;
    if (this.until.kind !== "offset") return true;
    if (offset < this.until.offset) {
      if (offset + 1 >= this.until.offset) this.reached.add(partition);
      return true;
    }
    this.reached.add(partition);
    return false;
  }

  /** Whether nothing more is wanted. */
  get done(): boolean {
    if (this.until.kind === "count") return this.taken >= this.until.count;
    return (
      this.until.kind === "offset" &&
      (this.until.offset === 0 || this.partitions.every((each) => this.reached.has(each)))
    );
  }
}

type ConsumerFrom = NonNullable<Parameters<Topic["consumer"]>[0]>["from"];

function consumerFrom(from: From | undefined): ConsumerFrom {
  if (from === undefined) return undefined;
  switch (from.kind) {
    case "offset":
      return { offset: from.offset };
    case "time":
      return { timeNs: from.timeNs };
    case "earliest":
    case "latest":
    case "cursor":
      return from.kind;
  }
}

/** Gathers lines and writes them in large pieces; acknowledges what stdout took. */
class LineWriter {
  #lines: string[] = [];
  #characters = 0;
  #events: Event[] = [];
  events = 0;

  constructor(
    private readonly terminal: Terminal,
    private readonly acknowledge: boolean,
  ) {}

  add(event: Event, line: string): boolean {
    this.#lines.push(line);
    this.#characters += line.length;
    if (this.acknowledge) this.#events.push(event);
    this.events++;
    return this.#characters >= WRITE_CHARACTERS;
  }

  async write(): Promise<void> {
    if (this.#lines.length === 0) return;
    await this.terminal.write(this.#lines.join(""));
    for (const event of this.#events) event.ack();
    this.#lines = [];
    this.#characters = 0;
    this.#events = [];
  }
}

async function run(terminal: Terminal, name: string, flags: ConsumeFlags): Promise<number> {
  const from = flags.from === undefined ? undefined : parseFrom(flags.from);
  const until = parseUntil(flags.until);
  const partitions = flags.partition === undefined ? undefined : parsePartitions(flags.partition);
  if (from?.kind === "cursor" && flags.name === undefined) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", "--from cursor needs --name: the cursor belongs to a name", {
      next: "give --name",
    });
  }
  const stopping = new AbortController();
  let signal: NodeJS.Signals | undefined;
  const stop = (given: NodeJS.Signals): void => {
    signal = given;
    stopping.abort();
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    await using job = await openJob(terminal, flags, "weftline-consume", stopping.signal);
    const topic = await job.topic(name, { signal: stopping.signal });
    const beyond = partitions?.find((partition) => partition >= topic.partitionCount);
    if (beyond !== undefined) {
      throw new WeftError(
        "WEFT_PARTITION_RANGE",
        `topic '${name}' has no partition ${beyond}: it has ${topic.partitionCount}, from 0`,
      );
    }
    const wanted = partitions ?? Array.from({ length: topic.partitionCount }, (_, partition) => partition);
    await using consumer = topic.consumer({
      name: flags.name,
      from: consumerFrom(from),
      partitions,
      until: until.kind === "end" ? "end" : undefined,
      ackEvery: 0, // committed below, behind what stdout took
    });
    const rule = new UntilRule(until, wanted);
    const events = await drain(terminal, consumer, rule, flags, topic, stopping.signal);
    terminal.progress("");
    if (signal !== undefined) terminal.say(`${signal}: ${grouped(events)} events were written`);
  } catch (error) {
    if (signal === undefined || !stopping.signal.aborted) throw error;
    if (!(error instanceof WeftError) || error.code !== "WEFT_CANCELLED") throw error;
  } finally {
    process.removeListener("SIGINT", stop).removeListener("SIGTERM", stop);
  }
  return signal === undefined ? EXIT.ok : exitCodeOfSignal(signal);
}

async function drain(
  terminal: Terminal,
  consumer: Consumer,
  rule: UntilRule,
  flags: ConsumeFlags,
  topic: Topic,
  signal: AbortSignal,
): Promise<number> {
  const commits = flags.name !== undefined;
  const writer = new LineWriter(terminal, commits);
  let committedMs = performance.now();
  try {
    while (!rule.done && !signal.aborted) {
      const events = await consumer.pull({ max: PULL_EVENTS, timeoutMs: PULL_MS, signal });
      for (const event of events) {
        if (!rule.takes(event.partition, event.offset)) continue;
        if (writer.add(event, eventLine(event, topic, flags.metadataOnly === true))) await writer.write();
      }
      // Whoever reads along sees what there is before the next wait.
      await writer.write();
      if (terminal.readerGone) throw new ReaderGone();
      if (events.length === 0 && consumer.ended) break;
      if (commits && performance.now() - committedMs > COMMIT_MS) {
        await terminal.flush();
        await consumer.commit();
        committedMs = performance.now();
      }
      terminal.progress(`${grouped(writer.events)} events`);
    }
  } catch (error) {
    if (!signal.aborted || error instanceof ReaderGone) throw error;
  }
  await writer.write();
  if (commits) {
    await terminal.flush();
    await consumer.commit();
  }
  return writer.events;
}

export function addConsume(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  addClientOptions(
    program
      .command("consume <topic>")
      .summary("events out as NDJSON")
      .description(
        'Writes events as NDJSON: {"partition":0,"offset":0,"time":"…","metadata":…}, with "dataBytes" for events that have data. Without --until it goes on until it is stopped.',
      )
      .option("-n, --name <name>", "name of the consumer: goes on after its last committed event, and commits")
      .option(
        "--from <position>",
        "earliest, latest, cursor, offset:N, time:RFC3339 (default: cursor with --name, else earliest)",
      )
      .option("--until <position>", "end (what is there now), offset:N (before N, in each partition), count:N")
      .option("-p, --partition <list>", "these partitions only, such as 0 or 0,2,5-7")
      .option("--metadata-only", "just the metadata of each event, as it was produced"),
  )
    .addHelpText(
      "after",
      `
Examples:
  weftline consume quakes --name first --until end | head -1
  weftline consume quakes --from time:2026-01-31T12:00:00Z --until count:100
  weftline consume quakes --until end --metadata-only > copy.ndjson`,
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await run(terminal, name, command.optsWithGlobals<ConsumeFlags>()));
    });
}
