/** CRC32C as the library takes it, for the payloads of all systems alike: a small module made for the benchmarks. */
import { createRequire } from "node:module";

import { benchModule } from "./native-programs.js";

const { crc32c } = createRequire(import.meta.url)(benchModule("checksum.node")) as {
  crc32c: (bytes: Uint8Array, seed: number) => number;
};
export { crc32c };
