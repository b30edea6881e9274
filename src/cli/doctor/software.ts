// Node and the native core.

import { bad, type Finding, ok } from "./finding.js";
import type { NativeReport } from "./native-report.js";

const NODE_LEAST = [20, 19] as const;

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const [leastMajor, leastMinor] = NODE_LEAST;
  const text = `${version}, ${process.platform} ${process.arch}`;
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
    ? ok("node", text)
    : bad("node", text, `use Node ${NODE_LEAST.join(".")} or newer`);
}

export function checkSoftware(version: string, path: string, native: NativeReport): Finding[] {
  return [checkNode(process.version), ok("weftline", `${version}, ${path}, built by ${native.compiler}`)];
}
