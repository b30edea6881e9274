/**
 * What this machine could do with the same bytes and nothing above: writes into files, MPI messages, bare RMA over the
 * same fabric provider, each with the checksum taken. Processor time is that of the measured part, of both processes where
 * there are two.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { benchModule } from "../driver/native-programs.js";
import { storedMetadataBytes } from "../driver/payload.js";
import { type Scenario, batchOf, kibibyte, mebibyte } from "./scenario.js";

const run = promisify(execFile);
const mpiexec = fileURLToPath(new URL("../../../../launch/mpiexec.sh", import.meta.url));
const timeoutMs = 60_000;
const inFlight = 8;
/** One RMA operation, one message, one write is at most so large. */
const itemBytesMax = 8 * mebibyte;
/** Of small items fewer are enough to say how fast they go. */
const countMax = 20_000;

export interface LimitPlan {
  readonly itemBytes: number;
  readonly eventsPerItem: number;
  readonly count: number;
  readonly slots: number;
}

/** Small events are moved as the batch that they are in, large data by itself. */
export function limitPlan(scenario: Scenario): LimitPlan {
  const { dataBytes, events, batch } = scenario;
  const isLarge = dataBytes >= 64 * kibibyte;
  const eventsPerGroup = isLarge ? 1 : batch === 1 ? 1 : batchOf(scenario);
  const groupBytes = isLarge ? dataBytes : eventsPerGroup * (storedMetadataBytes(scenario) + dataBytes);
  const itemBytes = Math.min(itemBytesMax, Math.ceil(groupBytes / 8) * 8);
  const eventsPerItem = (eventsPerGroup * itemBytes) / groupBytes;
  const count = Math.max(2 * inFlight, Math.min(countMax, Math.ceil(events / eventsPerItem)));
  const slots = Math.max(inFlight, Math.min(count, Math.floor((256 * mebibyte) / itemBytes)));
  return { itemBytes, eventsPerItem, count, slots };
}

async function measured(program: string, args: readonly (string | number)[]): Promise<Record<string, number>> {
  const { stdout } = await run(program, args.map(String), { timeout: timeoutMs, killSignal: "SIGKILL" });
  return JSON.parse(stdout.trim()) as Record<string, number>;
}

export interface LimitRate {
  readonly eventsPerSecond: number;
  readonly cpuSecondsPerMillionEvents: number;
}

/** From what a program printed. */
export function rateOf(printed: Record<string, number>, plan: LimitPlan): LimitRate {
  const { bytes = NaN, seconds = NaN, cpuSeconds = NaN } = printed;
  const events = (bytes / plan.itemBytes) * plan.eventsPerItem;
  return { eventsPerSecond: events / seconds, cpuSecondsPerMillionEvents: (cpuSeconds / events) * 1e6 };
}

/** The writing and syncing of one partition. Its files stay: the pages of files that are removed would be had again at once. */
export async function fileLimit(scenario: Scenario, directory: string): Promise<LimitRate> {
  const plan = limitPlan(scenario);
  const batches = scenario.dataBytes >= mebibyte ? 1 : scenario.dataBytes >= 64 * kibibyte ? 4 : 1;
  const syncs = scenario.durability === "synced" ? 1 : 0;
  const files = mkdtempSync(path.join(directory, "limit-files-"));
  const { itemBytes, count, slots } = plan;
  return rateOf(await measured(benchModule("limit_file"), [files, itemBytes, count, slots, 256, batches, syncs]), plan);
}

export async function rmaLimit(scenario: Scenario): Promise<LimitRate> {
  const plan = limitPlan(scenario);
  const { itemBytes, count, slots } = plan;
  const args = [scenario.transport, "read", itemBytes, count, slots, slots, inFlight];
  return rateOf(await measured(benchModule("limit_rma"), args), plan);
}

/** Which MPI: the family whose mpiexec `launch/mpiexec.sh` takes. */
export async function mpiLimit(scenario: Scenario): Promise<LimitRate> {
  const plan = limitPlan(scenario);
  const { itemBytes, count, slots } = plan;
  const failures: string[] = [];
  for (const family of [process.env["WEFTLINE_MPI"], "mpich", "openmpi"]) {
    if (family === undefined) continue;
    const name = `limit_mpi_${family}`;
    try {
      const program = benchModule(name);
      if (!existsSync(program)) continue;
      const args = ["-n", "2", program, ...[itemBytes, count, slots, slots, inFlight].map(String)];
      const environment = { ...process.env, WEFTLINE_MPI: family };
      const { stdout } = await run(mpiexec, args, { timeout: timeoutMs, killSignal: "SIGKILL", env: environment });
      const line = stdout.split("\n").find((one) => one.startsWith("{")) ?? "";
      return rateOf(JSON.parse(line) as Record<string, number>, plan);
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  throw new Error(failures.join("; "));
}

/** A message to and fro: the median time, and the processor time of one. */
export async function roundTripLimit({ transport }: Scenario): Promise<{ us: number; cpuUs: number }> {
  const { p50Us = NaN, cpuUs = NaN } = await measured(benchModule("limit_round_trip"), [transport, 3000]);
  return { us: 2 * p50Us, cpuUs };
}
