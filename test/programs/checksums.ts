// A rank that reads every block of the Gray-Scott simulation while it comes, and compares the checksum of the bytes that
// arrived with the one that the simulation put into the metadata. Says on which host it ran and what it found.
import { hostname } from "node:os";
import { all, join } from "weftline";
import { crc32c } from "../../examples/demo/crc32c.js";
import type { FieldMetadata } from "../../examples/demo/shared.js";

const job = await join({ name: "checksums" });
const field = await job.topic<FieldMetadata>("field");
const found = { host: hostname(), blocks: 0, wrong: 0, bytes: 0 };
let ranks = 1;
let ranksEnded = 0;
let blocksPushed = 0;
for await (const { metadata, data } of field.consumer({ select: all })) {
  if (metadata.last === true) {
    ranks = metadata.ranks;
    ranksEnded++;
    blocksPushed += metadata.events;
  } else {
    found.blocks++;
    found.bytes += data.byteLength;
    if (crc32c(data) !== metadata.crc32c) found.wrong++;
  }
  if (ranksEnded === ranks && found.blocks === blocksPushed) break;
}
process.stdout.write(`${JSON.stringify(found)}\n`);
try {
  await job.close();
} catch (error) {
  process.stderr.write(`checksums: ${String(error)}\n`);
  process.exit(1); // MPI may be left hanging in its thread
}
