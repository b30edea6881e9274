// A solver that streams its field: `WEFTLINE_GROUP=… node solver.js [STEPS]`, or under mpiexec beside servers. The array
// is registered once; the server reads it without a copy in this process.
import { join } from "weftline";

interface FieldMetadata {
  step: number;
  rank: number;
}

const steps = Number(process.argv[2] ?? 20);
const size = 512;
const temperature = new Float64Array(size * size);

function advance(field: Float64Array, step: number): void {
  for (let index = 0; index < field.length; index++) field[index] = step + index / field.length;
}

await using job = await join({ name: "solver" });
const field = await job.topic<FieldMetadata>("field");
await using out = await field.producer({ name: `solver-${job.rank}` });
const region = out.register(temperature);
for (let step = 0; step < steps; step++) {
  advance(temperature, step);
  out.push({ step, rank: job.rank }, region);
  await region.idle(); // before the next overwrite
}
await out.flush(); // durable at the topic's level
console.log(`${steps} steps of ${region.length} bytes are stored`);
