// weftline produce: NDJSON in, events out. Each line's JSON text becomes the event's metadata byte for byte; with a topic
// of packed metadata, the record of its values.
//
// A line that is not JSON is named and left out; all others are stored. The input waits while the servers are slow.

import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import type { Command } from "commander";
import { isWeftError, WeftError } from "../../errors.js";
import { recordFromJson } from "../../packed/json.js";
import { EncodedJson } from "../../producer/metadata.js";
import type { Producer } from "../../producer/producer.js";
import type { Topic } from "../../topic/topic.js";
import { type ClientOptions, openJob } from "../command-context.js";
import { EXIT, exitCodeOfSignal } from "../exit-codes.js";
import { readLines } from "../lines.js";
import { parsePartitions } from "../positions.js";
import { grouped, humanBytes, type Terminal } from "../terminal.js";
import { addClientOptions } from "./client-options.js";

interface ProduceFlags extends ClientOptions {
  name?: string;
  batch?: string;
  partition?: string;
  file?: string;
}

const BAD_LINES_SHOWN = 10;
const PROGRESS_MS = 250;

export interface ProduceSummary {
  events: number;
  bytes: number;
  seconds: number;
  durability: string;
  badLines: number;
}

/** What the durability means for what was produced, in one word. */
export function allDurable(durability: string): string {
  return durability === "memory" ? "all in memory" : `all ${durability}`;
}

export function summaryText({ events, bytes, seconds, durability, badLines }: ProduceSummary): string {
  const bad = badLines === 0 ? "" : `; ${grouped(badLines)} bad lines left out`;
  return `${grouped(events)} events, ${humanBytes(bytes)}, ${seconds.toFixed(1)} s, ${allDurable(durability)}${bad}`;
}

/** The text and the value of a line that is valid JSON in valid UTF-8, or why it is not. */
export function checkLine(bytes: Uint8Array): { text: string; value: unknown } | { problem: string } {
  if (!isUtf8(bytes)) return { problem: "is not UTF-8" };
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  try {
    return { text, value: JSON.parse(text) as unknown };
  } catch (error) {
    return { problem: `is not JSON: ${(error as Error).message}` };
  }
}

/** Of a packed record: what is wrong with which field; which topic it is for, the user knows. */
function fieldProblem({ message }: WeftError): string {
  return message.replace(/^.*? for topic '[^']*': /, "has no record: ");
}

function wholeNumber(flag: string, given: string | undefined, low: number, high: number): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= low && value <= high) return value;
  throw new WeftError("WEFT_INVALID_ARGUMENT", `${flag} '${given}' is not a whole number of ${low} to ${high}`, {
    next: "correct that flag",
  });
}

/** Pushes lines until the input ends or `stopped`; what it counts is what the servers will have after a flush. */
export class LinePusher {
  events = 0;
  bytes = 0;
  badLines = 0;

  constructor(
    private readonly producer: Producer,
    private readonly topic: Pick<Topic, "serializer" | "codec" | "custom">,
    private readonly partition: number | undefined,
    private readonly report: (text: string) => void,
  ) {}

  async push(number: number, bytes: Uint8Array): Promise<void> {
    const made = this.#metadataOf(bytes);
    if ("problem" in made) return this.#bad(number, made.problem);
    const { metadata } = made;
    const options = this.partition === undefined ? undefined : { partition: this.partition };
    for (;;) {
      // What failed is lost to the reader of the input: it ends here, and does not lose the rest in the same way.
      if (this.producer.failure !== undefined) throw this.producer.failure;
      try {
        this.producer.push(metadata, undefined, options);
        break;
      } catch (error) {
        if (isWeftError(error, "WEFT_BUSY")) await this.producer.ready();
        else if (isWeftError(error, "WEFT_EVENT_TOO_LARGE")) return this.#bad(number, error.message);
        else if (isWeftError(error, "WEFT_VALIDATOR_REJECTED")) return this.#bad(number, error.message);
        else if (isWeftError(error, "WEFT_METADATA_INVALID")) return this.#bad(number, fieldProblem(error));
        else throw error;
      }
    }
    this.events++;
    this.bytes += bytes.length;
  }

  #metadataOf(bytes: Uint8Array): { metadata: unknown } | { problem: string } {
    const { serializer, codec, custom } = this.topic;
    if (serializer === "raw") return { metadata: bytes };
    const checked = checkLine(bytes);
    if ("problem" in checked) return checked;
    if (custom !== undefined) return { metadata: checked.value };
    if (codec === undefined) return { metadata: new EncodedJson(checked.text, checked.value) };
    const made = recordFromJson(codec.layout, checked.value);
    return "problem" in made ? made : { metadata: made.record };
  }

  #bad(number: number, problem: string): void {
    this.badLines++;
    if (this.badLines <= BAD_LINES_SHOWN) this.report(`line ${number} ${problem}; left out`);
    if (this.badLines === BAD_LINES_SHOWN + 1) this.report("more bad lines follow; they are only counted");
  }
}

async function run(terminal: Terminal, name: string, flags: ProduceFlags): Promise<number> {
  const batchEvents = wholeNumber("--batch", flags.batch, 1, 65_536);
  const [partition, ...more] = flags.partition === undefined ? [] : parsePartitions(flags.partition);
  if (more.length > 0)
    throw new WeftError("WEFT_INVALID_ARGUMENT", "produce takes one --partition", { next: "give one" });
  let signal: NodeJS.Signals | undefined;
  const startedMs = performance.now();
  await using job = await openJob(terminal, flags, "weftline-produce");
  const topic: Topic = await job.topic(name);
  if (partition !== undefined && partition >= topic.partitionCount) {
    throw new WeftError(
      "WEFT_PARTITION_RANGE",
      `topic '${name}' has no partition ${partition}: it has ${topic.partitionCount}, from 0`,
    );
  }
  await using producer = await topic.producer({ name: flags.name, batchEvents });
  const pusher = new LinePusher(producer, topic, partition, (text) => terminal.say(text));
  const input =
    flags.file === undefined ? terminal.streams.input : createReadStream(flags.file, { highWaterMark: 1 << 20 });
  const stop = (given: NodeJS.Signals): void => {
    signal = given;
    input.destroy(); // what was pushed is still flushed
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  let shownMs = startedMs;
  const readAll = async (): Promise<void> => {
    for await (const lines of readLines(input as AsyncIterable<Uint8Array>)) {
      for (const { number, bytes } of lines) {
        await pusher.push(number, bytes);
        if (signal !== undefined) break;
      }
      if (signal !== undefined) break;
      if (performance.now() - shownMs > PROGRESS_MS) {
        shownMs = performance.now();
        terminal.progress(`${grouped(pusher.events)} events, ${humanBytes(pusher.bytes)}`);
      }
    }
  };
  try {
    await readAll().catch(async (error: unknown) => {
      if (signal === undefined) throw await afterFlush(producer, error);
    });
    await producer.flush();
  } catch (error) {
    terminal.say(`${grouped(producer.stored)} of ${grouped(pusher.events)} events that were read are stored`);
    throw error;
  } finally {
    process.removeListener("SIGINT", stop).removeListener("SIGTERM", stop);
  }
  const summary: ProduceSummary = {
    events: pusher.events,
    bytes: pusher.bytes,
    seconds: (performance.now() - startedMs) / 1000,
    durability: topic.description.durability,
    badLines: pusher.badLines,
  };
  if (terminal.json) await terminal.writeJson(summary);
  else terminal.say(summaryText(summary));
  if (signal !== undefined) {
    terminal.say(`${signal}: the rest of the input was not read`);
    return exitCodeOfSignal(signal);
  }
  return summary.badLines > 0 ? EXIT.badLines : EXIT.ok;
}

/** An input that cannot be read further loses nothing that was read: it is flushed, then the error is told. */
async function afterFlush(producer: Producer, error: unknown): Promise<unknown> {
  await producer.flush();
  if (error instanceof WeftError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new WeftError("WEFT_IO", `the input cannot be read: ${why}; what was read before is stored`, {
    cause: error,
    next: "look at the input",
  });
}

export function addProduce(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  addClientOptions(
    program
      .command("produce <topic>")
      .summary("NDJSON in, events out")
      .description(
        "Reads NDJSON from stdin, or a file, and stores each line as one event: its JSON text is the metadata, byte for byte; with packed metadata, its values are the record.",
      )
      .option("-f, --file <path>", "read this file instead of stdin")
      .option("-b, --batch <events>", "events of a batch (default: 128)")
      .option("-n, --name <name>", "name of the producer: the newest of a name fences older ones (default: none)")
      .option("-p, --partition <number>", "put all into one partition (default: as the topic selects)"),
  )
    .addHelpText(
      "after",
      `
Examples:
  weftline produce quakes < earthquakes.ndjson
  jq -c '.[]' records.json | weftline produce records --batch 1024

A line that is not JSON is named on stderr and left out; the exit status is 5 then.`,
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await run(terminal, name, command.optsWithGlobals<ProduceFlags>()));
    });
}
