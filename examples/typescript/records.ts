// Records without data, with receipts, pulls and a position that survives: `node records.js [GROUP DIRECTORY]`.
import { attach, isWeftError } from "weftline";

interface LogRecord {
  level: "info" | "warning";
  text: string;
}

await using job = await attach(process.argv[2] ?? process.env["WEFTLINE_GROUP"]);
const log = await job.createTopic<LogRecord>("log", {}, { ifExists: "open" });

await using out = await log.producer();
const receipt = out.push({ level: "warning", text: "the residual grows" });
for (let index = 0; index < 1000; index++) {
  try {
    out.push({ level: "info", text: `record ${index}` });
  } catch (error) {
    if (!isWeftError(error, "WEFT_BUSY")) throw error;
    await out.ready(); // the queue was full: this record was not taken
    index--;
  }
}
await out.flush();
const { partition, offset } = await receipt.wait();
console.log(`the first record is event ${partition}:${offset}`);

await using consumer = log.consumer({ name: "reader", until: "end" });
let warnings = 0;
let count = 0;
while (!consumer.ended) {
  for (const event of await consumer.pull({ max: 100, timeoutMs: 1000 })) {
    count++;
    if (event.metadata.level === "warning") warnings++;
    event.ack();
  }
}
await consumer.commit(); // a reader of this name begins behind it
console.log(`${count} records, ${warnings} warnings`);
