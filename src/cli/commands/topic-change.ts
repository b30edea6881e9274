// weftline topic alter | seal.

import type { Command } from "commander";
import { WeftError } from "../../errors.js";
import type { NormalizedRetention } from "../../config/retention-config.js";
import { formatSize, formatTime } from "../../config/units.js";
import type { TopicDescription } from "../../control/index.js";
import { type ClientOptions, clientConfiguration, openJob } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import type { Terminal } from "../terminal.js";
import { addClientOptions } from "./client-options.js";

export interface RetentionFlags {
  retentionBytes?: string;
  retentionAge?: string;
  retentionConsumedBy?: string;
}

interface AlterFlags extends ClientOptions, RetentionFlags {
  retention?: boolean;
  producers?: string | false;
  producerTimeout?: string;
  partitions?: string;
  slots?: string;
}

/** As the config has it; undefined if no flag says anything. */
export function retentionOfFlags({ retentionBytes, retentionAge, retentionConsumedBy }: RetentionFlags): unknown {
  if (retentionBytes === undefined && retentionAge === undefined && retentionConsumedBy === undefined) return undefined;
  return {
    ...(retentionBytes === undefined ? {} : { bytes: retentionBytes }),
    ...(retentionAge === undefined ? {} : { ageMs: retentionAge }),
    ...(retentionConsumedBy === undefined ? {} : { consumedBy: retentionConsumedBy.split(",") }),
  };
}

export function describeRetention(retention: NormalizedRetention | undefined): string {
  if (retention === undefined) return "none";
  const { bytes, ageMs, consumedBy } = retention;
  return [
    ...(bytes === undefined ? [] : [`${formatSize(bytes)} a partition`]),
    ...(ageMs === undefined ? [] : [`for ${formatTime(ageMs)}`]),
    ...(consumedBy === undefined ? [] : [`until consumed by ${consumedBy.join(", ")}`]),
  ].join(", or ");
}

const wholeNumber = (text: string): unknown => (/^\d+$/.test(text) ? Number(text) : text);

function changeOfFlags(flags: AlterFlags): object {
  const { producers, producerTimeout, partitions, slots } = flags;
  const retention = flags.retention === false ? null : retentionOfFlags(flags);
  const change = {
    ...(retention === undefined ? {} : { retention }),
    ...(producers === undefined ? {} : { producers: producers === false ? null : wholeNumber(producers) }),
    ...(producerTimeout === undefined ? {} : { producerTimeoutMs: producerTimeout }),
    ...(partitions === undefined ? {} : { partitions: wholeNumber(partitions) }),
    ...(slots === undefined ? {} : { slots: slots.split(",").map(wholeNumber) }),
  };
  if (Object.keys(change).length > 0) return change;
  throw new WeftError("WEFT_INVALID_ARGUMENT", "topic alter: nothing is to be changed", {
    next: "give a flag of what is; weftline topic alter --help lists them",
  });
}

async function request(
  terminal: Terminal,
  flags: ClientOptions,
  asked: { op: string; name: string },
  words: string,
): Promise<number> {
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-topic");
  const { topic } = (await job.control(0, asked, { timeoutMs })) as unknown as { topic: TopicDescription };
  if (terminal.json) await terminal.writeJson({ topic });
  terminal.say(`topic ${topic.name} ${words}`);
  return EXIT.ok;
}

export function addTopicChanges(topic: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  addClientOptions(
    topic
      .command("alter <name>")
      .description("Changes a topic: its retention, its producers, more partitions. What is not named stays.")
      .option("--retention-bytes <size>", "the oldest events beyond so many bytes of a partition go")
      .option("--retention-age <time>", "events that were appended longer ago go, such as 7d")
      .option("--retention-consumed-by <names>", "what all of these consumers have committed goes")
      .option("--no-retention", "nothing goes by itself any more")
      .option("--producers <number>", "it ends when so many producers with names were opened and closed")
      .option("--no-producers", "it ends only when it is sealed")
      .option("--producer-timeout <time>", "one of them that died counts as closed after it")
      .option("-p, --partitions <number>", "at least as many as there are")
      .option("--slots <list>", "slot of each new partition, such as 0,1 (default: in turn)"),
  )
    .addHelpText(
      "after",
      "\nExamples:\n  weftline topic alter quakes --retention-age 7d\n  weftline topic alter quakes --partitions 4",
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      const flags = command.optsWithGlobals<AlterFlags>();
      const asked = { op: "topic.alter", name, change: changeOfFlags(flags) };
      done(await request(terminal, flags, asked, "changed"));
    });
  addClientOptions(
    topic
      .command("seal <name>")
      .description("Lets a topic take no more events, for good: consumers end behind the last one."),
  )
    .addHelpText("after", "\nExamples:\n  weftline topic seal quakes")
    .action(async (name: string, _options: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ClientOptions>();
      done(await request(terminal, flags, { op: "topic.seal", name }, "sealed"));
    });
}
