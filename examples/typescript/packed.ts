// Metadata as records of fixed fields: `node packed.js [GROUP DIRECTORY]`. No JSON is written or read, and a C program reads
// the same bytes as a struct: `weftline topic header steps` writes it.
import { attach, packed, type PackedMetadata } from "weftline";

const schema = packed([
  { name: "step", type: "u32" },
  { name: "time", type: "f64" },
  { name: "label", type: "string", bytes: 16 },
  { name: "origin", type: "u32", length: 2 },
]);
type Step = PackedMetadata<typeof schema>;

await using job = await attach(process.argv[2] ?? process.env["WEFTLINE_GROUP"]);
const steps = await job.createTopic<Step>("steps", { packed: schema }, { ifExists: "open" });
await using out = await steps.producer();
for (let step = 0; step < 100; step++) {
  out.push({ step, time: step / 4, label: "warm-up", origin: [step, 0] });
}
await out.flush();
let latest = 0;
for await (const event of steps.consumer({ until: "end" })) {
  latest = Math.max(latest, event.field("time")); // one field, without making the object
  if (event.offset % 50 === 0) console.log(event.metadata);
}
console.log(`the last step ends at ${latest}`);
