// Runs sequences of random calls against a server, each with a model beside it; used by the short loop of the model tests and by the
// long one.
import fc from "fast-check";

import type { Place } from "../support.js";
import { closeConsumer, closeProducer } from "./close.js";
import { consumerCommands } from "./consumer-commands.js";
import { producerCommands } from "./producer-commands.js";
import { createTopic, topicCommands } from "./topic-commands.js";
import { codecModule } from "./topic-model.js";
import { type Command, World } from "./world.js";

const setting = (name: string): string | undefined => process.env[`WEFTLINE_RANDOM_${name}`];
const number = (name: string): number | undefined => {
  const given = setting(name);
  return given === undefined ? undefined : Number(given);
};

/** As often as a call is made; those that find nothing to work on are passed over. */
const weighted: readonly [weight: number, command: fc.Arbitrary<Command>][] = [
  [1, createTopic],
  [1, topicCommands.addPartitions],
  [1, topicCommands.look],
  [3, producerCommands.open],
  [10, producerCommands.push],
  [3, producerCommands.pushRefused],
  [1, producerCommands.flush],
  [1, producerCommands.close],
  [4, consumerCommands.open],
  [9, consumerCommands.pull],
  [3, consumerCommands.iterate],
  [3, consumerCommands.run],
  [3, consumerCommands.fetch],
  [4, consumerCommands.acknowledge],
  [2, consumerCommands.acknowledgeAll],
  [4, consumerCommands.commit],
  [4, consumerCommands.seek],
  [2, consumerCommands.close],
];
/** The end of something, once in a while: else little would live for long. */
const rare: readonly fc.Arbitrary<Command>[] = [topicCommands.seal, topicCommands.delete, topicCommands.restart];

export interface Loop {
  readonly numRuns: number;
  readonly maxCommands: number;
  readonly timeLimitMs: number;
}

/** What the environment says instead: a sequence that failed, or more of them. */
function parameters({ numRuns, timeLimitMs }: Loop): fc.Parameters<[Iterable<Command>]> {
  const seed = number("SEED");
  const path = setting("PATH");
  const runs = number("RUNS");
  return {
    numRuns: runs ?? numRuns,
    // Shrinking what failed has its limit, too: the smallest that was found until then is told.
    ...(runs === undefined ? { interruptAfterTimeLimit: timeLimitMs } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path }),
  };
}

let worlds = 0;

export async function runRandomCalls(place: Place, loop: Loop): Promise<void> {
  const module = place.file(`codec-${worlds}.mjs`, codecModule);
  const replayPath = setting("REPLAY");
  const frequent = weighted.flatMap(([weight, command]) => Array<fc.Arbitrary<Command>>(weight).fill(command));
  // fast-check takes one of the list after the other with equal weight.
  const commands = fc.commands([...frequent, fc.oneof(...rare)], {
    maxCommands: loop.maxCommands,
    size: "max",
    ...(replayPath === undefined ? {} : { replayPath }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(createTopic, { minLength: 1, maxLength: 2 }), commands, async (first, calls) => {
      const world = new World(`random-${worlds++}`, module);
      try {
        for (const create of first) await create.run(world, place);
        await fc.asyncModelRun(() => ({ model: world, real: place }), calls);
        for (const topic of world.topics) await world.settle(topic);
        for (const consumer of [...world.consumers]) await closeConsumer(world, consumer);
        for (const producer of [...world.producers]) await closeProducer(world, producer);
      } finally {
        await clean(world, place);
      }
    }),
    parameters(loop) as never,
  );
}

/** What a sequence leaves, also one that failed in the middle. */
async function clean(world: World, place: Place): Promise<void> {
  for (const { handle } of [...world.consumers, ...world.producers]) await handle.close().catch(() => undefined);
  for (const { name, deleted } of world.topics) if (!deleted) await place.job.deleteTopic(name).catch(() => undefined);
}
