/** The demo's second producer: the records of vega-datasets' flights-200k.json, one event each, metadata only. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EncodedJson, join } from "weftline";
import { needed, progress, runRank, RunningChecksum, wholeNumber, writeReport } from "./shared.js";

const { values } = parseArgs({ options: { records: { type: "string" }, reports: { type: "string" } } });
/** Between two lines for the driver. */
const progressEvery = 20_000;

await runRank("flights", async () => {
  // Closed at the end only: after an error, closing would wait for ranks that wait for this one.
  const job = await join({ name: "flights" });
  const { world } = job;
  // The package exports the addresses of its files on the web; the files themselves lie beside its entry.
  const file = fileURLToPath(new URL("../data/flights-200k.json", import.meta.resolve("vega-datasets")));
  const all = JSON.parse(readFileSync(file, "utf8")) as unknown[];
  const records = values.records === undefined ? all : all.slice(0, wholeNumber("records", values.records, 1));

  const topic = await job.topic("flights");
  const out = await topic.producer({ batchEvents: 1024 });
  const checksum = new RunningChecksum();
  const beganMs = performance.now();
  let bytes = 0;
  for (const [index, record] of records.entries()) {
    // The text is needed for the checksum; as EncodedJson it is not made a second time.
    const text = JSON.stringify(record);
    checksum.add(text);
    bytes += Buffer.byteLength(text);
    // push never waits: without this the queue would fill up, and push would throw WEFT_BUSY.
    if (out.queued > 0) await out.ready();
    out.push(new EncodedJson(text));
    if ((index + 1) % progressEvery === 0) progress(`flights ${index + 1} of ${records.length}`);
  }
  await out.flush();
  const sha256 = checksum.value();
  out.push({ last: true, records: records.length, sha256 });
  await out.close();
  const seconds = (performance.now() - beganMs) / 1000;
  progress(`flights ${records.length} of ${records.length}`);
  writeReport(needed("reports", values.reports), "flights", { records: records.length, bytes, seconds, sha256 });
  await world.barrier();
  await job.close();
});
