/**
 * Kafka's own performance tools, its best client: they neither encode nor read what they move, so they have less to do
 * than every other client here. The producer's rate is without its warm-up, the consumer's without its rebalance.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { cpuSecondsOf, endedChildrenCpuSeconds } from "../../driver/cpu-seconds.js";
import { storedMetadataBytes } from "../../driver/payload.js";
import { type Scenario, batchOf } from "../../suite/scenario.js";
import type { KafkaBroker } from "./broker.js";

const run = promisify(execFile);
const timeoutMs = 180_000;

/** What a tool says. */
export interface ToolRate {
  readonly eventsPerSecond: number;
  readonly latencyUs: { p50: number; p99: number; p999: number } | null;
}
export interface ToolResult extends ToolRate {
  /** Of the tool, the start of its virtual machine and its warm-up included, and of the broker; over all its events. */
  readonly cpuSecondsPerMillionEvents: number;
}

/** Which scenarios the tools can do: one process each, no selection. */
export function toolsCan({ producers, consumers, selectData, selectEvents, mode }: Scenario): boolean {
  return producers === 1 && consumers === 1 && selectData === 100 && selectEvents === 100 && mode !== "both";
}

/** Runs one that moves so many events. */
async function tool(
  broker: KafkaBroker,
  name: string,
  events: number,
  args: readonly string[],
): Promise<{ text: string; cpuSecondsPerMillionEvents: number }> {
  // A heap for all that the producer may hold back, as buffer.memory below says
  const java = ["-Xmx2g", "-XX:+UseG1GC", "-cp", broker.classPath, `org.apache.kafka.tools.${name}`, ...args];
  const usedSeconds = (): number => endedChildrenCpuSeconds() + (cpuSecondsOf(broker.pid) ?? NaN);
  const before = usedSeconds();
  const { stdout } = await run("java", java, { timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: 2 ** 24 });
  return { text: stdout, cpuSecondsPerMillionEvents: ((usedSeconds() - before) / events) * 1e6 };
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
  const events = scenario.events + warmUp;
  const { text, cpuSecondsPerMillionEvents } = await tool(broker, "ProducerPerformance", events, [
    ...["--bootstrap-server", broker.address, "--topic", topic],
    ...["--num-records", String(events), "--warmup-records", String(warmUp)],
    ...["--record-size", String(storedMetadataBytes(scenario) + scenario.dataBytes)],
    ...["--throughput", scenario.mode === "latency" ? String(scenario.load) : "-1"],
    ...["--command-property", ...producerProperties(scenario)],
  ]);
  return { ...parseProducer(text), cpuSecondsPerMillionEvents };
}

export function warmUpEvents({ events, mode, dataBytes, warmUpEvents: given }: Scenario): number {
  return mode === "latency" || dataBytes >= 1024 * 1024 ? given : events;
}

/** The last line is that of the measured part. */
export function parseProducer(text: string): ToolRate {
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
  const events = scenario.events + warmUpEvents(scenario);
  const { text, cpuSecondsPerMillionEvents } = await tool(broker, "ConsumerPerformance", events, [
    ...["--bootstrap-server", broker.address, "--topic", topic, "--hide-header"],
    ...["--num-records", String(events)],
    ...["--fetch-size", String(Math.max(8 * 1024 * 1024, scenario.dataBytes + 65_536)), "--timeout", "30000"],
    ...["--command-property", `fetch.max.bytes=${Math.max(64 * 1024 * 1024, scenario.dataBytes + 131_072)}`],
    ...["--command-property", "max.poll.records=10000"],
  ]);
  return { ...parseConsumer(text), cpuSecondsPerMillionEvents };
}

/** start, end, MB, MB/s, events, events/s, rebalance ms, fetch ms, fetch MB/s, fetch events/s */
export function parseConsumer(text: string): ToolRate {
  const line = text
    .trim()
    .split("\n")
    .filter((one) => one.split(",").length >= 10)
    .at(-1);
  const rate = Number(line?.split(",")[9]);
  if (line === undefined || Number.isNaN(rate)) throw new Error(`ConsumerPerformance said something else: ${text}`);
  return { eventsPerSecond: rate, latencyUs: null };
}
