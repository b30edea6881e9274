/**
 * Kafka's own performance tools, its best client: they neither encode nor read what they move, so they have less to do
 * than every other client here. The producer's rate is without its warm-up, the consumer's without its rebalance.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { storedMetadataBytes } from "../../driver/payload.js";
import { type Scenario, batchOf } from "../../suite/scenario.js";
import type { KafkaBroker } from "./broker.js";

const run = promisify(execFile);
const timeoutMs = 180_000;

export interface ToolResult {
  readonly eventsPerSecond: number;
  readonly latencyUs: { p50: number; p99: number; p999: number } | null;
}

/** Which scenarios the tools can do: one process each, no selection. */
export function toolsCan({ producers, consumers, selectData, selectEvents, mode }: Scenario): boolean {
  return producers === 1 && consumers === 1 && selectData === 100 && selectEvents === 100 && mode !== "both";
}

async function tool(broker: KafkaBroker, name: string, args: readonly string[]): Promise<string> {
  // A heap for all that the producer may hold back, as buffer.memory below says
  const java = ["-Xmx2g", "-XX:+UseG1GC", "-cp", broker.classPath, `org.apache.kafka.tools.${name}`, ...args];
  const { stdout } = await run("java", java, { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: 2 ** 24 });
  return stdout;
}

export function producerProperties(scenario: Scenario): string[] {
  const { dataBytes, batch, mode } = scenario;
  const eventBytes = storedMetadataBytes(scenario) + dataBytes;
  // Of a record in a batch: about 12 bytes beside it; of a batch: 61
  const batchBytes = batch === "adaptive" ? 512 * 1024 : batchOf(scenario) * (eventBytes + 12) + 61;
  return [
    "acks=all",
    `linger.ms=${batch === 1 || mode === "latency" ? 0 : 5}`,
    // 16 MiB was up to half as fast, with events of 64 KiB
    `batch.size=${Math.min(batchBytes, 1024 * 1024)}`,
    `buffer.memory=${Math.max(256 * 1024 * 1024, Math.min(1024 * 1024 * 1024, 3 * eventBytes))}`,
    `max.request.size=${300 * 1024 * 1024}`,
    "compression.type=none",
  ];
}

/** After as many events again as its virtual machine needs to be warm: all of them, for it starts cold each time. */
export async function produce(broker: KafkaBroker, topic: string, scenario: Scenario): Promise<ToolResult> {
  const warmUp = warmUpEvents(scenario);
  const text = await tool(broker, "ProducerPerformance", [
    ...["--bootstrap-server", broker.address, "--topic", topic],
    ...["--num-records", String(scenario.events + warmUp), "--warmup-records", String(warmUp)],
    ...["--record-size", String(storedMetadataBytes(scenario) + scenario.dataBytes)],
    ...["--throughput", scenario.mode === "latency" ? String(scenario.load) : "-1"],
    ...["--command-property", ...producerProperties(scenario)],
  ]);
  return parseProducer(text);
}

export function warmUpEvents({ events, mode, dataBytes, warmUpEvents: given }: Scenario): number {
  return mode === "latency" || dataBytes >= 1024 * 1024 ? given : events;
}

/** The last line is that of the measured part. */
export function parseProducer(text: string): ToolResult {
  const line = text
    .trim()
    .split("\n")
    .filter((one) => one.includes("99.9th"))
    .at(-1);
  const rate = /([\d.]+) records\/sec/.exec(line ?? "")?.[1];
  const times = /([\d.]+) ms 50th, ([\d.]+) ms 95th, ([\d.]+) ms 99th, ([\d.]+) ms 99.9th/.exec(line ?? "");
  if (rate === undefined || times === null) throw new Error(`ProducerPerformance said something else: ${text}`);
  const us = (index: number): number => Number(times[index]) * 1000;
  return { eventsPerSecond: Number(rate), latencyUs: { p50: us(1), p99: us(3), p999: us(4) } };
}

/** All that is in the topic, warm-up included: the tool reads from the begin. */
export async function consume(broker: KafkaBroker, topic: string, scenario: Scenario): Promise<ToolResult> {
  const text = await tool(broker, "ConsumerPerformance", [
    ...["--bootstrap-server", broker.address, "--topic", topic, "--hide-header"],
    ...["--num-records", String(scenario.events + warmUpEvents(scenario))],
    ...["--fetch-size", String(Math.max(8 * 1024 * 1024, scenario.dataBytes + 65_536)), "--timeout", "30000"],
    ...["--command-property", `fetch.max.bytes=${Math.max(64 * 1024 * 1024, scenario.dataBytes + 131_072)}`],
    ...["--command-property", "max.poll.records=10000"],
  ]);
  return parseConsumer(text);
}

/** start, end, MB, MB/s, events, events/s, rebalance ms, fetch ms, fetch MB/s, fetch events/s */
export function parseConsumer(text: string): ToolResult {
  const line = text
    .trim()
    .split("\n")
    .filter((one) => one.split(",").length >= 10)
    .at(-1);
  const rate = Number(line?.split(",")[9]);
  if (line === undefined || Number.isNaN(rate)) throw new Error(`ConsumerPerformance said something else: ${text}`);
  return { eventsPerSecond: rate, latencyUs: null };
}
