// One rank of a group that makes steps. Under an mpiexec: `stepping.js serve DIRECTORY` hosts the server, `stepping.js steps
// TOPIC` is a rank of the group. From outside: `stepping.js log GROUP TOPIC RANK SIZE RUN LAST MODE`, without MPI: steps up to
// LAST, of which the last is committed ("commit") or only pushed ("push": it says so and waits to be killed).
import { type StepProducer, attach, join, serve } from "weftline";

const [, , how, ...argv] = process.argv;
const shape = [8, 6];

/** Rows of this rank: item (row, column) of step n is 100 * n + its place. */
function rowsOf(rank: number, size: number, step: number): { data: Float64Array; origin: number[]; size: number[] } {
  const [from, end] = [Math.floor((8 * rank) / size), Math.floor((8 * (rank + 1)) / size)];
  const data = Float64Array.from({ length: (end - from) * 6 }, (_, at) => 100 * step + from * 6 + at);
  return { data, origin: [from, 0], size: [end - from, 6] };
}

async function make(out: StepProducer<object>, last: number, isCommitted: boolean): Promise<void> {
  for (let number = (out.lastStep ?? -1) + 1; number <= last; number++) {
    const step = out.step(number);
    const { data, origin, size } = rowsOf(out.rank, out.size, number);
    const receipt = step.push({ n: number, rank: out.rank }, data, { array: { shape, origin, size, itemSize: 8 } });
    if (number === last && !isCommitted) {
      await receipt.wait();
      console.log("pushed");
      await new Promise<void>(() => setInterval(() => undefined, 60_000)); // to be killed
    }
    await step.commit({ signal: AbortSignal.timeout(60_000) });
  }
}

if (how === "serve") {
  await using server = await serve({ data: argv[0] ?? "weft", topics: { field: { partitions: 3 } } });
  await using _ = { [Symbol.asyncDispose]: async () => await server.world.barrier() };
  await server.world.split(-1);
} else if (how === "steps") {
  await using job = await join({ name: "solver" });
  const solvers = await job.world.split(0);
  const topic = await job.topic<object>("field");
  {
    await using out = await topic.stepProducer({ group: solvers });
    await make(out, 4, true);
  }
  await solvers?.barrier();
  if (job.groupRank === 0) {
    for await (const step of topic.consumer({ from: "earliest", until: "end" }).steps()) {
      const bytes = await step.assemble();
      const values = new Float64Array(bytes.buffer, bytes.byteOffset, 48);
      const isRight = values.every((value, at) => value === 100 * step.number + at);
      console.log(JSON.stringify({ step: step.number, ranks: step.parts.map(({ rank }) => rank), isRight }));
    }
  }
  await job.world.barrier();
} else {
  const [group, topicName = "", rank, size, run = "", last, mode] = argv;
  await using job = await attach(group);
  const topic = await job.topic<object>(topicName);
  const members = { rank: Number(rank), size: Number(size), run };
  await using out = await topic.stepProducer({ group: members, guard: false });
  console.log(`last ${out.lastStep ?? "none"}`);
  await make(out, Number(last), mode === "commit");
  console.log("done");
}
