// The clock of time stamps: where it comes from, how fine it is, whether it goes back. Between ranks: ./ranks.ts.

import { bad, type Finding, note, ok } from "./finding.js";
import type { Host } from "./host.js";

const READINGS = 20_000;
const FAST_SOURCES = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
/** A system without a battery for its clock begins at 1970. */
const EARLIEST_MS = Date.UTC(2024, 0, 1);

export function checkClock(host: Host): Finding[] {
  const area = "clock";
  const source = host.read("/sys/devices/system/clocksource/clocksource0/current_clocksource") ?? "unknown source";
  let back = 0;
  let step = Infinity;
  let last = process.hrtime.bigint();
  const first = last;
  for (let reading = 0; reading < READINGS; reading++) {
    const now = process.hrtime.bigint();
    const passed = Number(now - last);
    if (passed < 0) back++;
    else if (passed > 0) step = Math.min(step, passed);
    last = now;
  }
  const readingNs = Math.round(Number(last - first) / READINGS);
  if (back > 0) {
    return [
      bad(
        area,
        `${source}: the monotonic clock went back ${back} times`,
        "report it to the site: time limits cannot hold",
      ),
    ];
  }
  const text = `${source}, steps of ${step} ns, ${readingNs} ns a reading, monotonic`;
  const findings = [
    FAST_SOURCES.includes(source) || source === "unknown source"
      ? ok(area, text)
      : note(area, `${text}: each reading is a system call`, "ask the site for tsc as the clock source"),
  ];
  if (Date.now() < EARLIEST_MS) {
    findings.push(
      bad(area, `it is ${new Date().toISOString()} here: time stamps will be wrong`, "set the system's clock"),
    );
  }
  return findings;
}
