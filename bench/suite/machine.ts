/** Where, when and of what a result is. */
import { execFileSync } from "node:child_process";
import os from "node:os";

function said(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 20_000,
    }).trim();
  } catch {
    return "unknown";
  }
}

export function machineFacts(): Record<string, unknown> {
  return {
    processor: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    node: process.version,
    loadAverage: os.loadavg(),
    when: new Date().toISOString(),
    commit: said("git", ["rev-parse", "HEAD"]),
    changed: said("git", ["status", "--porcelain"]) !== "",
  };
}
