/** What ranks tell the program that started them, as files of a directory: no rank waits inside a collective. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

import type { Footprint } from "./footprint.js";

/** One after another; each rank reports at the end of each. */
export const stages = ["start", "joined", "produced", "consumed", "idle"] as const;
export type Stage = (typeof stages)[number];

export interface RankReport {
  readonly role: "server" | "client";
  readonly number: number;
  readonly stage: Stage;
  readonly footprint: Footprint;
  /** As docs/counters.md names them; of a client with many memberships those of the first. */
  readonly counters: Record<string, Record<string, number>>;
  /** Of the stage that ends here. */
  readonly elapsedMs: number;
  readonly cpuMs: number;
}

export interface Plan {
  readonly directory: string;
  readonly servers: number;
  readonly partitions: number;
  readonly transports: string;
  /** Memberships that each client process has: each is a client of its own to the servers. */
  readonly memberships: number;
  readonly idleSeconds: number;
}

export const planFile = "plan.json";

/** Whole or not at all. */
export function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

const lookMs = 20;

export async function fileThere(file: string, timeoutMs: number, hasEnded: () => string | undefined): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!existsSync(file)) {
    const why = hasEnded();
    if (why !== undefined) throw new Error(why);
    if (Date.now() > end) throw new Error(`no ${path.basename(file)} after ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

const reportName = (role: string, number: number, stage: Stage): string => `${role}-${number}-${stage}.json`;

export function writeReport(directory: string, report: RankReport): void {
  const name = reportName(report.role, report.number, report.stage);
  writeWhole(path.join(directory, name), JSON.stringify(report));
}

export async function readReport(
  directory: string,
  role: "server" | "client",
  number: number,
  stage: Stage,
  timeoutMs: number,
  hasEnded: () => string | undefined,
): Promise<RankReport> {
  const file = path.join(directory, reportName(role, number, stage));
  await fileThere(file, timeoutMs, hasEnded);
  return JSON.parse(readFileSync(file, "utf8")) as RankReport;
}
