// Processor time out of /proc: of a process and of children that have ended.
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

import { cpuSecondsIn, cpuSecondsOf, endedChildrenCpuSeconds } from "../../../bench/driver/cpu-seconds.js";

describe("cpuSecondsIn", () => {
  // utime 250, stime 50, cutime 1000, cstime 25
  const behindName = "S 1 10 10 0 -1 4194560 5 6 7 8 250 50 1000 25 20 0 7 0 1234";

  it("adds user and system time, in hundredths of a second", () => {
    expect(cpuSecondsIn(`10 (java) ${behindName}`, "process")).toBe(3);
    expect(cpuSecondsIn(`10 (java) ${behindName}`, "children")).toBe(10.25);
  });

  it("is not misled by a name with brackets and blanks", () => {
    expect(cpuSecondsIn(`10 (a) b 1 2 (c) ${behindName}`, "process")).toBe(3);
  });
});

it("counts a child that has ended, and nothing of one that is gone", () => {
  const before = endedChildrenCpuSeconds();
  const burn = "const end = process.cpuUsage(); while (process.cpuUsage(end).user < 200_000);";
  const child = spawnSync(process.execPath, ["-e", burn]);
  expect(child.status).toBe(0);
  // Other tests of the same process may have children as well: so at least
  expect(endedChildrenCpuSeconds() - before).toBeGreaterThan(0.15);
  expect(cpuSecondsOf(child.pid)).toBeUndefined();
  expect(cpuSecondsOf(process.pid)).toBeGreaterThan(0);
});
