// One rank of the launch that test/integration/collectives.test.ts makes: `collectives.js serve DIRECTORY` hosts the
// server, without arguments it is a client; all take part. Prints one line of JSON with what this rank saw.
import { type Communicator, isWeftError, join, serve } from "weftline";

const [, , role, data] = process.argv;

/** Names of the ranks of a communicator, in its order. */
async function members(communicator: Communicator | undefined, mine: number): Promise<number[] | undefined> {
  return communicator === undefined ? undefined : await communicator.allgatherValues(mine);
}

async function collectives(world: Communicator): Promise<object> {
  const { rank, size } = world;
  const root = size - 1;
  const sent = new Float64Array(1000).fill(rank === root ? 0.5 : 0);
  await world.broadcast(sent, { root });
  const texts = await world.allgatherValues({ text: "é".repeat(rank * 1000) });
  const bytes = await world.allgather(new Uint8Array([rank, rank + 100]));

  const even = await world.split(rank % 2 === 0 ? 7 : -1, -rank);
  const turned = await world.split(0, size - rank);
  // Rank 0 comes to this split only after the others said, over `turned`, that theirs is under way: one that blocked
  // would never end.
  const ahead = rank === 0 ? undefined : world.split(1);
  await turned?.barrier();
  const later = await (ahead ?? world.split(1));

  // Rank 0 enters the barrier when the others have given up waiting: they are not held up, and it still completes.
  let cancelled = false;
  const abandoned = new AbortController();
  const barrier = rank === 0 ? undefined : later?.barrier({ signal: abandoned.signal });
  abandoned.abort();
  await barrier?.catch((error: unknown) => (cancelled = isWeftError(error, "WEFT_CANCELLED")));
  await world.barrier();
  if (rank === 0) await later?.barrier();

  const seen = {
    broadcast: sent.every((value) => value === 0.5),
    lengths: texts.map(({ text }) => text.length),
    bytes: bytes.map((one) => [...one]),
    even: await members(even, rank),
    turned: await members(turned, rank),
    later: await members(later, rank),
    cancelled,
    root: await world.broadcast(sent, { root: size }).catch((error: { code: string }) => error.code),
  };
  for (const communicator of [even, turned]) communicator?.free();
  return { rank, size, ...seen };
}

if (role === "serve") {
  await using server = await serve({ data: data ?? "weft", until: "clients-gone" });
  console.log(JSON.stringify({ role, ...(await collectives(server.world)) }));
  await server.closed;
} else {
  await using job = await join({ name: "solver" });
  const { nodeRank, nodeSize, groupRank, groupSize } = job;
  console.log(JSON.stringify({ nodeRank, nodeSize, groupRank, groupSize, ...(await collectives(job.world)) }));
}
