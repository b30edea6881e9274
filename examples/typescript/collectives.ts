// The ranks of a launch among themselves, without blocking JavaScript: `mpiexec -n 2 node collectives.js : …`. Alone it
// is a world of one.
import { join } from "weftline";

await using job = await join({ name: "analysis" });
const { world } = job;
await world.barrier();
const seed = new Float64Array([job.rank === 0 ? 42 : 0]);
await world.broadcast(seed);
const names = await world.allgatherValues({ rank: job.rank, name: job.name });
console.log(`rank ${world.rank} of ${world.size}, seed ${seed[0] ?? 0}, ${names.map(({ name }) => name).join(" ")}`);
