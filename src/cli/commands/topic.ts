// weftline topic create | list | describe | delete | header.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { WeftError } from "../../errors.js";
import {
  describeFunction,
  DURABILITIES,
  formatPath,
  normalizeTopicConfig,
  PARTITION_SELECTORS,
  SERIALIZERS,
  STORAGES,
  type TopicConfig,
} from "../../config/topic-config.js";
import { formatSize, formatTime } from "../../config/units.js";
import type { TopicDescription, TopicSummary } from "../../control/index.js";
import type { Job } from "../../job/job.js";
import { cHeader } from "../../packed/c-header.js";
import { layoutOf, type RecordLayout, typeText } from "../../packed/layout.js";
import { tryModules, withHashedModules } from "../../topic/modules.js";
import { type ClientOptions, clientConfiguration, openJob } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import { parsePackedFields } from "../packed-fields.js";
import { columns, grouped, type Terminal } from "../terminal.js";
import { addClientOptions } from "./client-options.js";
import { addTopicChanges, describeRetention, retentionOfFlags } from "./topic-change.js";

interface CreateFlags extends ClientOptions {
  partitions?: string;
  storage?: string;
  durability?: string;
  serializer?: string;
  packed?: string;
  schema?: string;
  pattern?: string;
  validator?: string;
  partitionSelector?: string;
  allowUnvalidated?: boolean;
  segmentBytes?: string;
  memoryDataBytes?: string;
  memoryMetadataBytes?: string;
  metadataDirectory?: string;
  dataDirectory?: string;
  slots?: string;
  retentionBytes?: string;
  retentionAge?: string;
  retentionConsumedBy?: string;
  producers?: string;
  producerTimeout?: string;
  ifNotExists?: boolean;
}

/** A path of a module, or a name. */
function moduleOr(text: string | undefined): unknown {
  return text !== undefined && /^(\.{0,2}\/|file:)/.test(text) ? { module: text } : text;
}

/** A name, a JSON pointer, or a path of a module, which has an extension. */
function selectorOfFlag(text: string | undefined): unknown {
  return text?.startsWith("/") === true && !/\.[cm]?js$/.test(text) ? { keyAt: text } : moduleOr(text);
}

function validatorOfFlags({ schema, pattern, validator }: CreateFlags): unknown {
  const given = [schema, pattern, validator].filter((flag) => flag !== undefined);
  if (given.length > 1) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", "a topic has one of --schema, --pattern and --validator", {
      next: "give one of them",
    });
  }
  if (schema !== undefined) return { schema: readJson("--schema", schema) };
  if (pattern !== undefined) return { pattern: readJson("--pattern", pattern) };
  return validator === "custom" || validator === undefined ? validator : { module: validator };
}

/** Of a file, or of the flag itself where that begins with a brace. */
function readJson(flag: string, given: string): unknown {
  const isText = given.trimStart().startsWith("{");
  try {
    return JSON.parse(isText ? given : readFileSync(given, "utf8")) as unknown;
  } catch (cause) {
    const what = isText ? "is not JSON" : `${given}`;
    throw new WeftError("WEFT_CONFIG_INVALID", `topic create: ${flag}: ${what}: ${(cause as Error).message}`, {
      cause,
      next: "give a file of JSON, or an object of JSON",
    });
  }
}

function describeValidator(validator: TopicDescription["validator"]): string {
  if (validator === undefined) return "none";
  if (typeof validator === "string") return validator;
  if ("schema" in validator) return `schema ${JSON.stringify(validator.schema)}`;
  return "pattern" in validator ? `pattern ${JSON.stringify(validator.pattern)}` : describeFunction(validator);
}

function describeEnd({ sealed, producers, producerTimeoutMs }: TopicDescription): string {
  if (sealed === true) return "sealed";
  if (producers === undefined) return "when it is sealed";
  return `with its ${count(producers, "producer")}, those that died ${formatTime(producerTimeoutMs ?? 0)} later`;
}

/** The config that the flags describe; checked here, so that a slip is found without a server. */
export function configOfFlags(flags: CreateFlags): TopicConfig {
  const numbers = (text: string): unknown[] =>
    text.split(",").map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  const given: Record<string, unknown> = {
    partitions: flags.partitions === undefined ? undefined : numbers(flags.partitions)[0],
    storage: flags.storage,
    durability: flags.durability,
    serializer: moduleOr(flags.serializer),
    packed: flags.packed === undefined ? undefined : parsePackedFields(flags.packed),
    validator: validatorOfFlags(flags),
    partitionSelector: selectorOfFlag(flags.partitionSelector),
    allowUnvalidated: flags.allowUnvalidated,
    segmentBytes: flags.segmentBytes,
    memoryDataBytes: flags.memoryDataBytes,
    memoryMetadataBytes: flags.memoryMetadataBytes,
    metadataDirectory: flags.metadataDirectory,
    dataDirectory: flags.dataDirectory,
    slots: flags.slots === undefined ? undefined : numbers(flags.slots),
    retention: retentionOfFlags(flags),
    producers: flags.producers === undefined ? undefined : numbers(flags.producers)[0],
    producerTimeoutMs: flags.producerTimeout,
  };
  for (const [name, value] of Object.entries(given)) if (value === undefined) delete given[name];
  const checked = normalizeTopicConfig(given);
  if ("problem" in checked) {
    const { path, message } = checked.problem;
    throw new WeftError("WEFT_CONFIG_INVALID", `topic create: ${formatPath(path)}: ${message}`, {
      next: "correct that flag; weftline topic create --help lists them",
    });
  }
  return given;
}

interface PartitionReport {
  partition: number;
  slot: number;
  state: string;
  firstOffset?: number;
  nextOffset?: number;
  epoch?: number;
  error?: string;
}

const STATES_PER_REQUEST = 256;

/** Asks each slot for its partitions; a slot that is away makes its own unavailable and nothing else. */
async function partitionReports(job: Job, topic: TopicDescription, timeoutMs: number): Promise<PartitionReport[]> {
  const reports: PartitionReport[] = [];
  const ask = async (slot: number): Promise<void> => {
    const mine = topic.slots.flatMap((at, partition) => (at === slot ? [partition] : []));
    for (let from = 0; from < mine.length; from += STATES_PER_REQUEST) {
      const partitions = mine.slice(from, from + STATES_PER_REQUEST);
      try {
        const reply = await job.control(slot, { op: "partition.state", uuid: topic.uuid, partitions }, { timeoutMs });
        for (const each of reply["partitions"] as Omit<PartitionReport, "slot">[]) reports.push({ slot, ...each });
      } catch (error) {
        const words = error instanceof Error ? error.message : String(error);
        for (const partition of partitions) reports.push({ partition, slot, state: "unavailable", error: words });
      }
    }
  };
  await Promise.all([...new Set(topic.slots)].map(ask));
  return reports.sort((left, right) => left.partition - right.partition);
}

async function create(terminal: Terminal, name: string, flags: CreateFlags): Promise<number> {
  const config = await withHashedModules(name, configOfFlags(flags));
  await tryModules(name, config);
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-topic");
  const request = {
    op: "topic.create",
    name,
    config,
    requestId: randomUUID(),
    ...(flags.ifNotExists === true ? { ifExists: "open" } : {}),
  };
  const { topic, created } = (await job.control(0, request, { timeoutMs })) as unknown as {
    topic: TopicDescription;
    created: boolean;
  };
  if (terminal.json) await terminal.writeJson({ created, topic });
  const slots = [...new Set(topic.slots)].sort((left, right) => left - right);
  terminal.say(
    `topic ${topic.name} ${created ? "created" : "is there already"}: ${count(topic.partitions, "partition")} on ${slots.length === 1 ? "slot" : "slots"} ${slots.join(", ")}; ${topic.storage}, ${topic.durability}`,
  );
  return EXIT.ok;
}

function count(number: number, what: string): string {
  return `${grouped(number)} ${what}${number === 1 ? "" : "s"}`;
}

async function list(terminal: Terminal, flags: ClientOptions): Promise<number> {
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-topic");
  const topics: TopicSummary[] = [];
  let after: string | undefined;
  do {
    const page = await job.control(0, { op: "topic.list", ...(after === undefined ? {} : { after }) }, { timeoutMs });
    topics.push(...(page["topics"] as TopicSummary[]));
    after = page["next"] as string | undefined;
  } while (after !== undefined);
  if (terminal.json) {
    for (const topic of topics) await terminal.writeJson(topic);
  } else if (topics.length === 0) {
    terminal.say("there are no topics");
  } else {
    const rows = topics.map((topic) => [
      topic.name,
      count(topic.partitions, "partition"),
      topic.storage,
      topic.durability,
      topic.serializer,
    ]);
    await terminal.write(columns(rows));
  }
  return EXIT.ok;
}

async function describe(terminal: Terminal, name: string, flags: ClientOptions): Promise<number> {
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs") ?? 30_000;
  await using job = await openJob(terminal, flags, "weftline-topic");
  const { topic } = (await job.control(0, { op: "topic.describe", name }, { timeoutMs })) as unknown as {
    topic: TopicDescription;
  };
  const partitions = await partitionReports(job, topic, timeoutMs);
  if (terminal.json) {
    await terminal.writeJson({ ...topic, partitionStates: partitions });
    return EXIT.ok;
  }
  const facts: string[][] = [
    ["topic", topic.name],
    ["uuid", topic.uuid],
    ["created", topic.createdAt],
    ["storage", topic.storage],
    ["durability", topic.durability],
    ["serializer", describeFunction(topic.serializer)],
    ["partition selector", describeFunction(topic.partitionSelector)],
    ["validator", describeValidator(topic.validator)],
    ["allows unvalidated", topic.allowUnvalidated ? "yes" : "no"],
    ["retention", describeRetention(topic.retention)],
    ["ends", describeEnd(topic)],
    ...(topic.storage === "memory"
      ? [
          [
            "memory per partition",
            `${formatSize(topic.memoryDataBytes)} data, ${formatSize(topic.memoryMetadataBytes)} metadata`,
          ],
        ]
      : [["segment size", formatSize(topic.segmentBytes)]]),
  ];
  const record = topic.packed === undefined ? "" : `\n${recordText(layoutOf(topic.packed))}`;
  const rows = partitions.map(({ partition, slot, state, firstOffset, nextOffset, error }) => [
    `partition ${partition}`,
    `slot ${slot}`,
    state,
    error ??
      (nextOffset === undefined
        ? ""
        : `${grouped(nextOffset - (firstOffset ?? 0))} events, offsets ${firstOffset ?? 0} to ${nextOffset}`),
  ]);
  await terminal.write(`${columns(facts)}${record}\n${columns(rows)}`);
  return EXIT.ok;
}

async function remove(terminal: Terminal, name: string, flags: ClientOptions): Promise<number> {
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-topic");
  const reply = await job.control(0, { op: "topic.delete", name }, { timeoutMs });
  if (terminal.json) await terminal.writeJson(reply);
  const { away } = reply;
  terminal.say(
    `topic ${name} deleted${typeof away === "number" ? `; slot ${away} is away, and deletes its part once it is back` : ""}`,
  );
  return EXIT.ok;
}

/** The fields of packed metadata, with their places. */
function recordText(layout: RecordLayout): string {
  const { fields, fixedBytes, variable } = layout;
  const rows = fields.map((field) => [
    field.name,
    typeText(field),
    field.variable ? "behind the fixed part" : `at ${field.at}`,
  ]);
  const more = variable.length === 0 ? "" : " and more";
  return `record of ${grouped(fixedBytes)} bytes${more}\n${columns(rows)}`;
}

interface HeaderFlags extends ClientOptions {
  struct?: string;
}

async function header(terminal: Terminal, name: string, flags: HeaderFlags): Promise<number> {
  const { struct } = flags;
  if (struct !== undefined && !/^[A-Za-z][A-Za-z0-9_]{0,199}$/.test(struct)) {
    throw new WeftError("WEFT_INVALID_ARGUMENT", `--struct '${struct}' is not an identifier of C`, {
      next: "give letters, digits and _, beginning with a letter",
    });
  }
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-topic");
  const { topic } = (await job.control(0, { op: "topic.describe", name }, { timeoutMs })) as unknown as {
    topic: TopicDescription;
  };
  if (topic.packed === undefined) {
    throw new WeftError(
      "WEFT_UNSUPPORTED",
      `topic '${name}' has the serializer ${describeFunction(topic.serializer)}: it has no records, and no struct`,
      { next: "create a topic with --packed" },
    );
  }
  await terminal.write(cHeader(name, topic.packed, struct));
  return EXIT.ok;
}

export function addTopic(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  const topic = program
    .command("topic")
    .summary("create, list, describe, alter, seal and delete topics, write C headers")
    .description("Topics of a job.");
  addClientOptions(
    topic
      .command("create <name>")
      .description("Creates a topic on all slots that are to hold its partitions, or not at all.")
      .option("-p, --partitions <number>", "1 to 4096 (default: 1)")
      .option("--storage <kind>", STORAGES.join(" or "))
      .option("-d, --durability <level>", `${DURABILITIES.join(", ")} (default: written)`)
      .option("--serializer <name>", `${SERIALIZERS.join(", ")}, or a module`)
      .option("--packed <fields>", "metadata is records of these fields: step:u32,t:f64,label:string[16],origin:u32[2]")
      .option("--schema <file>", "metadata has to meet this JSON Schema")
      .option("--pattern <file>", "metadata has to meet this event pattern")
      .option("--validator <module>", "metadata has to pass the function of this ES module")
      .option("--partition-selector <name>", `${PARTITION_SELECTORS.join(", ")}, a JSON pointer of a key, or a module`)
      .option("--allow-unvalidated", "clients that cannot run the validator may produce all the same")
      .option("--segment-bytes <size>", "files roll at this size (default: 256 MiB)")
      .option("--memory-data-bytes <size>", "limit of a partition's data, storage memory (default: 256 MiB)")
      .option("--memory-metadata-bytes <size>", "limit of a partition's metadata, storage memory (default: 64 MiB)")
      .option("--metadata-directory <path>", "where the servers keep the metadata files")
      .option("--data-directory <path>", "where the servers keep the data files")
      .option("--retention-bytes <size>", "the oldest events beyond so many bytes of a partition go")
      .option("--retention-age <time>", "events that were appended longer ago go, such as 7d")
      .option("--retention-consumed-by <names>", "what all of these consumers have committed goes")
      .option("--producers <number>", "it ends when so many producers with names were opened and closed")
      .option("--producer-timeout <time>", "one of them that died counts as closed after it (default: 60s)")
      .option("--slots <list>", "slot of each partition, such as 0,1,0,1 (default: in turn)")
      .option("--if-not-exists", "a topic that is there with this config is fine"),
  )
    .addHelpText(
      "after",
      `
Examples:
  weftline topic create quakes --partitions 2 --durability synced
  weftline topic create frames --storage memory --memory-data-bytes "4 GiB"
  weftline topic create steps --packed step:u32,t:f64,label:string[16],note:string
  weftline topic create strong --pattern '{"mag":[{"numeric":[">=",6]}]}' --partition-selector /place`,
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await create(terminal, name, command.optsWithGlobals<CreateFlags>()));
    });
  addClientOptions(topic.command("list").description("Lists the topics of a job, one a line."))
    .addHelpText("after", "\nExamples:\n  weftline topic list\n  weftline topic list --json | jq -r .name")
    .action(async (_options: unknown, command: Command) => {
      done(await list(terminal, command.optsWithGlobals<ClientOptions>()));
    });
  addClientOptions(
    topic.command("describe <name>").description("Shows a topic's config and the state of its partitions."),
  )
    .addHelpText("after", "\nExamples:\n  weftline topic describe quakes")
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await describe(terminal, name, command.optsWithGlobals<ClientOptions>()));
    });
  addClientOptions(
    topic.command("delete <name>").description("Deletes a topic with all its events, and frees their space."),
  )
    .addHelpText("after", "\nExamples:\n  weftline topic delete quakes")
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await remove(terminal, name, command.optsWithGlobals<ClientOptions>()));
    });
  addTopicChanges(topic, terminal, done);
  addClientOptions(
    topic
      .command("header <name>")
      .description("Writes the C header of a topic's packed metadata: the struct that is its record.")
      .option("--struct <name>", "name of the struct (default: that of the topic, and _record)"),
  )
    .addHelpText("after", "\nExamples:\n  weftline topic header steps > steps_record.h")
    .action(async (name: string, _options: unknown, command: Command) => {
      done(await header(terminal, name, command.optsWithGlobals<HeaderFlags>()));
    });
}
