/**
 * What exists while a consumer is open: its native handle, and what turns frames into groups of events. JavaScript thread.
 * A member of a static group without a partition has no handle: nobody asks its parts anything.
 */
import { LentMemory } from "./lent-memory.js";
import type { ConsumerHandle, NativeConsumerOptions } from "../native/binding.js";
import { completionKind } from "../native/completions.js";
import type { TopicContext } from "../topic/context.js";
import { Cursors } from "./cursors.js";
import { DataAllocator } from "./data-allocator.js";
import { DataSelector } from "./data-selector.js";
import type { EventOwner } from "./event.js";
import { DataRequests } from "./event-group.js";
import { FrameSource } from "./frame-source.js";
import { GroupQueue } from "./group-queue.js";
import { GroupBuilder } from "./group-builder.js";
import type { ResolvedConsumerOptions } from "./options.js";
import { SlabPool } from "./slab-pool.js";

export interface OpenedConsumer {
  readonly handle: ConsumerHandle | undefined;
  readonly tag: number;
  readonly partitions: readonly number[];
  readonly source: FrameSource;
  readonly pool: SlabPool;
  readonly requests: DataRequests;
  readonly builder: GroupBuilder;
  readonly groups: GroupQueue;
  readonly cursors: Cursors;
}

/** `onFrames`: the native side has something. WEFT_PARTITION_UNAVAILABLE, WEFT_TIMED_OUT, WEFT_CANCELLED, WEFT_CLOSED. */
export async function openConsumer(
  topic: TopicContext,
  options: ResolvedConsumerOptions,
  partitions: readonly number[],
  owner: EventOwner,
  onFrames: () => void,
  signal: AbortSignal | undefined,
): Promise<OpenedConsumer> {
  const { completions, slabs: store } = topic.job;
  const { until, slabBytes, slabs, ackEvery, selector, allocate } = options;
  // An empty list would be all of them.
  const native = options.share === undefined ? options.native : { ...options.native, partitions };
  const { handle, tag } = partitions.length === 0 ? noHandle : await openHandle(topic, native, onFrames, signal);
  const consumer = handle as ConsumerHandle;
  const source = new FrameSource(completions, consumer, topic, partitions, until);
  const pool = new SlabPool(completions, store, slabBytes, slabs);
  const requests = new DataRequests(completions, consumer, pool);
  const allocator = allocate === undefined ? undefined : new DataAllocator(completions, allocate);
  const ownMemory = new LentMemory();
  const builder = new GroupBuilder(
    source,
    requests,
    pool,
    owner,
    new DataSelector(owner, selector),
    allocator,
    ownMemory,
  );
  const groups = new GroupQueue(pool, allocator, ownMemory);
  const cursors = new Cursors(completions, consumer, partitions, ackEvery);
  return { handle, tag, partitions, source, pool, requests, builder, groups, cursors };
}

interface Handle {
  readonly handle: ConsumerHandle | undefined;
  readonly tag: number;
}
const noHandle: Handle = { handle: undefined, tag: 0 };

async function openHandle(
  { name, handle: topic, job: { completions } }: TopicContext,
  options: NativeConsumerOptions,
  onFrames: () => void,
  signal: AbortSignal | undefined,
): Promise<Handle> {
  const { binding } = completions;
  let tag = 0;
  const { handle } = await completions.request(
    `opening a consumer of topic '${name}'`,
    (fresh) => {
      tag = fresh;
      binding.consumerOpenAsync(topic, options, fresh);
    },
    {
      signal,
      late: (completion) => {
        const closing = completions.watch(() => {
          completions.unwatch(closing);
        });
        binding.consumerCloseAsync(completion.handle as ConsumerHandle, closing);
      },
      keep: (record) => {
        if (record.kind === completionKind.frames) onFrames();
      },
    },
  );
  return { handle: handle as ConsumerHandle, tag };
}
