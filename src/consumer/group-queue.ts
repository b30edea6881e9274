/**
 * The groups of a consumer on their way to the caller: prepared (their data is on the way), current, lent (all handed out;
 * their memory goes at the next call). A failed partition has its place among them. JavaScript thread.
 */
import type { WeftError } from "../errors.js";
import type { DataAllocator } from "./data-allocator.js";
import type { Event } from "./event.js";
import type { EventGroup } from "./event-group.js";
import type { FailedPartition } from "./frame-source.js";
import type { LentMemory } from "./lent-memory.js";
import type { SlabPool } from "./slab-pool.js";

/** Groups whose data is on its way while another one is read. */
const preparedMax = 2;

interface Prepared {
  readonly group: EventGroup | undefined;
  readonly error: WeftError | undefined;
  /** Undefined: of none. */
  readonly partition: number | undefined;
  settled: boolean;
}

export class GroupQueue {
  readonly #pool: SlabPool;
  readonly #allocator: DataAllocator | undefined;
  /** That selections name. */
  readonly #ownMemory: LentMemory;
  #prepared: Prepared[] = [];
  #current: EventGroup | undefined;
  #lent: EventGroup[] = [];

  constructor(pool: SlabPool, allocator: DataAllocator | undefined, ownMemory: LentMemory) {
    this.#ownMemory = ownMemory;
    this.#pool = pool;
    this.#allocator = allocator;
  }

  /** Nothing is left to hand out. */
  get isEmpty(): boolean {
    return this.#prepared.length === 0 && this.#current === undefined;
  }
  get isFull(): boolean {
    return this.#prepared.length >= preparedMax;
  }
  get hasLent(): boolean {
    return this.#lent.length > 0;
  }

  /** `onReady`: its data came later. */
  add(built: EventGroup | FailedPartition, onReady: () => void): void {
    const prepared: Prepared =
      "error" in built
        ? { group: undefined, error: built.error, partition: built.partition, settled: true }
        : { group: built, error: undefined, partition: partitionOf(built), settled: built.ready === undefined };
    this.#prepared.push(prepared);
    if (prepared.settled) return;
    // A group never fails as a whole: its events carry what went wrong.
    void prepared.group?.ready?.then(() => {
      prepared.settled = true;
      onReady();
    });
  }

  /** The next event of the current group. */
  take(): Event | undefined {
    for (let group = this.#current; group !== undefined; group = this.#current) {
      const event = group.events[group.next++];
      if (group.next >= group.events.length) {
        this.#current = undefined;
        this.#lent.push(group);
        if (group.lent !== undefined) this.#allocator?.giveBack(group.lent);
      }
      if (event !== undefined) return event;
    }
    return undefined;
  }

  /** The next group, if its data is there, becomes the current one; or the error in its place, unless that is kept. */
  advance(keepError: boolean): "moved" | WeftError | undefined {
    const first = this.#prepared[0];
    if (first?.settled !== true || (first.error !== undefined && keepError)) return undefined;
    this.#prepared.shift();
    if (first.error !== undefined) return first.error;
    this.#current = first.group;
    return "moved";
  }

  releaseLent(): void {
    for (const { memory, named } of this.#lent) {
      if (memory !== undefined) this.#pool.giveBack(memory);
      if (named !== undefined) this.#ownMemory.giveBack(named);
    }
    this.#lent = [];
  }

  /** When no server writes any more into memory of groups that were not handed out; of these partitions, or of all. */
  async settled(partitions?: ReadonlySet<number>): Promise<void> {
    const waits = this.#prepared
      .filter(({ partition }) => isOf(partition, partitions))
      .map(({ group }) => group?.ready);
    await Promise.all(waits.map((ready) => ready ?? Promise.resolve()));
  }

  /** After `settled`: what is left of these partitions, or all, is not handed out. */
  drop(partitions?: ReadonlySet<number>): void {
    const current = this.#current;
    const dropped = this.#prepared.filter(({ partition }) => isOf(partition, partitions));
    this.#prepared = this.#prepared.filter((one) => !dropped.includes(one));
    const groups = dropped.map(({ group }) => group);
    if (current !== undefined && isOf(partitionOf(current), partitions)) {
      this.#current = undefined;
      groups.push(current);
    }
    for (const group of groups) {
      if (group?.memory !== undefined) this.#pool.giveBack(group.memory);
      if (group?.lent !== undefined) this.#allocator?.giveBack(group.lent);
      if (group?.named !== undefined) this.#ownMemory.giveBack(group.named);
    }
  }
}

const partitionOf = (group: EventGroup): number | undefined => group.events[0]?.partition;
function isOf(partition: number | undefined, partitions: ReadonlySet<number> | undefined): boolean {
  return partitions === undefined || (partition !== undefined && partitions.has(partition));
}
