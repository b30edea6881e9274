// An analysis that wants a corner of every tenth step: `node corner.js [GROUP DIRECTORY]`. Only those bytes are read and
// moved. Started again, it goes on after the last step that it acknowledged.
import { attach, box, nothing } from "weftline";

interface FieldMetadata {
  step: number;
  rank: number;
}

await using job = await attach(process.argv[2] ?? process.env["WEFTLINE_GROUP"]);
const field = await job.topic<FieldMetadata>("field");
const corner = box({ shape: [512, 512], origin: [0, 0], size: [64, 64], itemSize: 8 });
const consumer = field.consumer({
  name: "corner",
  until: "end",
  select: (metadata) => (metadata.step % 10 === 0 ? corner : nothing),
});
for await (const event of consumer) {
  const values = event.float64(); // a view, until the next iteration
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  console.log(`step ${event.metadata.step}: mean ${mean.toFixed(3)} of ${values.length} values`);
  event.ack();
}
