/** Where the native programs and modules of the benchmarks are. */
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** From build/ts/bench/driver, where this runs, or from WEFTLINE_BENCH_NATIVE. */
export const nativeFolder =
  process.env["WEFTLINE_BENCH_NATIVE"] ?? fileURLToPath(new URL("../../../native/bench", import.meta.url));

export function benchModule(name: string): string {
  const file = path.join(nativeFolder, name);
  if (!existsSync(file)) throw new Error(`${file} is missing; build it with \`npm run build\``);
  return file;
}
