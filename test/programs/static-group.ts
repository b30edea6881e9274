// One rank of the launch that test/model/static-groups.test.ts makes: `static-group.js serve DIRECTORY` hosts a server,
// without arguments it is a member of the group of clients, which read topics among themselves. Prints one line of JSON
// with what this member saw.
import { type Communicator, type ConsumerOptions, type Job, isWeftError, join, serve } from "weftline";

const [, , role, data] = process.argv;
interface Numbered {
  readonly n: number;
}
const eventsOfPartition = 20;

/** One member makes the topic and fills it; all wait for that. */
async function fill(job: Job, group: Communicator, name: string, partitions: number): Promise<void> {
  if (group.rank === 0) {
    await using out = await (await job.createTopic<Numbered>(name, { partitions })).producer();
    for (let n = 0; n < partitions * eventsOfPartition; n++) out.push({ n }, undefined, { partition: n % partitions });
    await out.flush();
  }
  await group.barrier();
}

interface Seen {
  readonly partitions: readonly number[];
  readonly numbers: readonly number[];
}

async function read(job: Job, name: string, options: ConsumerOptions<Numbered>): Promise<Seen> {
  const topic = await job.topic<Numbered>(name);
  await using consumer = topic.consumer({ name: "members", until: "end", ...options });
  await consumer.open();
  const partitions = (await consumer.lag()).map(({ partition }) => partition);
  const numbers: number[] = [];
  for await (const event of consumer) {
    numbers.push(event.metadata.n);
    event.ack();
  }
  return { partitions, numbers };
}

if (role === "serve") {
  await using server = await serve({ data: data ?? "weft", until: "clients-gone" });
  await server.world.split(-1);
  await server.closed;
} else {
  await using job = await join({ name: "member" });
  const group = await job.world.split(1);
  if (group === undefined) throw new Error("this rank has no group");
  await fill(job, group, "many", 8);
  await fill(job, group, "few", 2);
  const many = await read(job, "many", { share: group });
  const again = await read(job, "many", { share: group }); // all was acknowledged
  const few = await read(job, "few", { share: group });
  const byRank = await read(job, "many", {
    share: { rank: group.rank, size: group.size },
    from: "earliest",
    name: "b",
  });
  // They differ: every member hears of it, and the next one opens.
  const other = await read(job, group.rank === 0 ? "many" : "few", { share: group }).catch((error: unknown) =>
    isWeftError(error) ? error.message : String(error),
  );
  const after = await read(job, "few", { share: group, name: "after" });
  console.log(JSON.stringify({ rank: group.rank, many, again, few, byRank, other, after }));
  await group.barrier();
  group.free();
}
