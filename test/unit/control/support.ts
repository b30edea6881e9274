// What the control plane's tests stand on: files in memory that die at a chosen operation and forget what was not synced,
// a data plane in memory, and several slots that talk to each other without a network.
import { dirname, join } from "node:path";
import { Catalogue } from "../../../src/control/catalogue.js";
import type { AppendFile, ControlFiles } from "../../../src/control/control-files.js";
import { ControlPlane } from "../../../src/control/control-plane.js";
import { PartitionRecords } from "../../../src/control/partition-records.js";
import type { HostFacts, OpenedPartition, ServerHost } from "../../../src/control/server-host.js";
import { SlotPartitions } from "../../../src/control/slot-partitions.js";
import type { TopicDescription } from "../../../src/control/topic-description.js";
import { Topics } from "../../../src/control/topics.js";
import { type ErrorCode, WeftError } from "../../../src/errors.js";

const TABLE = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/** CRC32C, bit for bit what the native core computes; an integration test compares them. */
export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  return (value ^ 0xffffffff) >>> 0;
}

interface Stored {
  bytes: Buffer;
  synced: Buffer;
}

/** The process died at an operation: nothing after it happens. */
export class Died extends Error {}

export class MemoryFiles implements ControlFiles {
  files = new Map<string, Stored>();
  /** What each name leads to after a power loss: names are durable once their directory was synced. */
  durable = new Map<string, Stored>();
  directories = new Set<string>(["/"]);
  operations = 0;
  /** The operation at which the process dies; it may be half done. */
  diesAt = Infinity;
  /** The next operations of a kind fail with this, once each. */
  failures: { kind: string; error: WeftError }[] = [];

  private step(kind: string): "go on" | "half" {
    if (this.operations > this.diesAt) throw new Died(kind);
    if (this.operations++ === this.diesAt) return "half";
    const index = this.failures.findIndex((failure) => failure.kind === kind);
    const [failure] = index < 0 ? [] : this.failures.splice(index, 1);
    if (failure) throw failure.error;
    return "go on";
  }

  /** What a machine finds after a power loss: only what was synced. */
  losePower(): void {
    this.files = new Map([...this.durable].map(([path, { synced }]) => [path, { bytes: Buffer.from(synced), synced }]));
    this.durable = new Map(this.files);
  }
  revive(): void {
    this.diesAt = Infinity;
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.files.get(path)?.bytes;
  }
  async openForAppend(path: string): Promise<AppendFile> {
    if (this.step("open") === "half") throw new Died("open");
    let stored = this.files.get(path);
    if (!stored) this.files.set(path, (stored = { bytes: Buffer.alloc(0), synced: Buffer.alloc(0) }));
    const file = stored;
    return {
      append: async (bytes) => {
        const half = this.step("append") === "half";
        file.bytes = Buffer.concat([file.bytes, half ? bytes.subarray(0, bytes.length >> 1) : bytes]);
        if (half) throw new Died("append");
      },
      sync: async () => {
        if (this.step("sync") === "half") throw new Died("sync");
        file.synced = Buffer.from(file.bytes);
      },
      truncate: async (length) => {
        if (this.step("truncate") === "half") throw new Died("truncate");
        file.bytes = Buffer.from(file.bytes.subarray(0, length));
      },
      close: async () => undefined,
    };
  }
  async rename(from: string, to: string): Promise<void> {
    if (this.step("rename") === "half") throw new Died("rename");
    const stored = this.files.get(from);
    if (!stored) throw new Error(`no ${from}`);
    this.files.delete(from);
    this.files.set(to, stored);
  }
  async remove(path: string): Promise<void> {
    if (this.step("remove") === "half") throw new Died("remove");
    this.files.delete(path);
  }
  async removeDirectory(path: string): Promise<void> {
    if (this.step("removeDirectory") === "half") throw new Died("removeDirectory");
    this.files.delete(path);
    for (const each of this.files.keys()) if (each.startsWith(`${path}/`)) this.files.delete(each);
    for (const each of this.directories) {
      if (each === path || each.startsWith(`${path}/`)) this.directories.delete(each);
    }
  }
  async removeEmptyDirectory(path: string): Promise<void> {
    if (this.step("removeEmptyDirectory") === "half") throw new Died("removeEmptyDirectory");
    if ((await this.list(path)).length === 0) this.directories.delete(path);
  }
  async makeDirectory(path: string): Promise<void> {
    if (this.step("makeDirectory") === "half") throw new Died("makeDirectory");
    for (let at = path; at !== "/"; at = dirname(at)) this.directories.add(at);
  }
  async list(path: string): Promise<string[]> {
    const names = new Set<string>();
    for (const each of [...this.files.keys(), ...this.directories]) {
      if (each.startsWith(`${path}/`)) names.add(each.slice(path.length + 1).split("/")[0] ?? "");
    }
    return [...names].sort();
  }
  async syncDirectory(path: string): Promise<void> {
    if (this.step("syncDirectory") === "half") throw new Died("syncDirectory");
    for (const each of this.durable.keys()) {
      if (dirname(each) === path && !this.files.has(each)) this.durable.delete(each);
    }
    for (const [each, stored] of this.files) if (dirname(each) === path) this.durable.set(each, stored);
  }
  async link(target: string, path: string): Promise<void> {
    if (this.step("link") === "half") throw new Died("link");
    this.files.set(path, { bytes: Buffer.from(target), synced: Buffer.from(target) });
  }

  /** Paths of files below a directory. */
  below(path: string): string[] {
    return [...this.files.keys()].filter((each) => each.startsWith(`${path}/`)).sort();
  }
}

/** One slot with its control plane, and a data plane that only remembers which partitions are open. */
export class TestSlot {
  readonly data: string;
  readonly offered = new Map<string, TopicDescription>();
  readonly open = new Set<string>();
  /** What each open partition was told last. */
  readonly told = new Map<string, TopicDescription>();
  readonly logged: { level: string; text: string }[] = [];
  away = false;
  /** It goes away once it has answered a ping. */
  awayAfterPing = false;
  /** Opening these partitions fails. */
  refuses = new Map<string, WeftError>();
  partitions!: SlotPartitions;
  topics: Topics | undefined;
  catalogue: Catalogue | undefined;
  control!: ControlPlane;

  constructor(
    readonly job: TestJob,
    readonly slot: number,
    readonly files: MemoryFiles,
    readonly hasData = true,
  ) {
    this.data = `/slot${slot}`;
  }

  async start(options: { reconcile?: boolean } = {}): Promise<void> {
    this.offered.clear();
    this.open.clear();
    this.told.clear();
    this.logged.length = 0;
    const log = (level: string, text: string): void => void this.logged.push({ level, text });
    const data = this.hasData ? this.data : undefined;
    const records = new PartitionRecords(this.files, data, crc32c);
    const host = new TestHost(this);
    this.partitions = new SlotPartitions(host, records, log);
    if (this.slot === 0) {
      this.catalogue = await Catalogue.open({
        files: this.files,
        data,
        checksum: crc32c,
        warn: (text) => log("warning", text),
      });
      this.topics = new Topics(host, this.catalogue, this.partitions, log);
    }
    this.control = new ControlPlane({
      host,
      partitions: this.partitions,
      topics: this.topics,
      version: "test",
      log,
      startedAtMs: Date.now(),
    });
    await this.partitions.openRecorded();
    this.topics?.offerAll();
    if (options.reconcile !== false) await this.topics?.reconcile();
    this.control.running();
  }

  warnings(): string[] {
    return this.logged.filter(({ level }) => level === "warning" || level === "error").map(({ text }) => text);
  }

  /** A request as a client sends it. */
  async ask(request: object | string): Promise<Record<string, unknown>> {
    const reply = await this.control.answer(typeof request === "string" ? request : JSON.stringify(request));
    if ("json" in reply) return JSON.parse(reply.json) as Record<string, unknown>;
    throw new WeftError(reply.code, reply.text);
  }
}

export class TestJob {
  readonly slots: TestSlot[] = [];

  addSlot(files = new MemoryFiles(), hasData = true): TestSlot {
    const slot = new TestSlot(this, this.slots.length, files, hasData);
    this.slots.push(slot);
    return slot;
  }
}

class TestHost implements ServerHost {
  constructor(private readonly slot: TestSlot) {}

  facts(): HostFacts {
    const { slot, job, hasData, data } = this.slot;
    return {
      slot,
      slotEpoch: 1,
      slotCount: job.slots.length,
      sessionCount: 0,
      data: hasData ? data : undefined,
      group: "/group",
    };
  }
  topicPut(topic: TopicDescription): void {
    this.slot.offered.set(topic.name, topic);
  }
  topicRemove(name: string): void {
    this.slot.offered.delete(name);
  }
  async partitionOpen(topic: TopicDescription, partition: number): Promise<OpenedPartition> {
    const key = `${topic.name}/${partition}`;
    const refusal = this.slot.refuses.get(key);
    if (refusal) throw refusal;
    if (this.slot.open.has(key)) throw new WeftError("WEFT_TOPIC_EXISTS", `${key} is open already`);
    if (this.slot.hasData) {
      const file = await this.slot.files.openForAppend(join(this.slot.data, "topics", key, "metadata", "0.log"));
      await file.close();
    }
    this.slot.open.add(key);
    this.slot.told.set(key, topic);
    return { firstOffset: 0, nextOffset: 0, epoch: 1, recovery: "" };
  }
  partitionAlter(topic: TopicDescription, partition: number): Promise<void> {
    this.slot.told.set(`${topic.name}/${partition}`, topic);
    return Promise.resolve();
  }
  async partitionClose(topic: TopicDescription, partition: number, remove: boolean): Promise<void> {
    const key = `${topic.name}/${partition}`;
    if (!this.slot.open.delete(key)) throw new WeftError("WEFT_INVALID_ARGUMENT", `${key} is not open`);
    if (remove) await this.slot.files.removeDirectory(join(this.slot.data, "topics", key, "metadata"));
  }
  partitionDescribe(): Record<string, unknown> {
    return { nextOffset: 7 };
  }
  async control(slot: number, request: object): Promise<Record<string, unknown>> {
    if (this.slot.files.operations > this.slot.files.diesAt) throw new Died("control"); // the dead send nothing
    const target = this.slot.job.slots[slot];
    if (!target || target.away) throw new WeftError("WEFT_PEER_LOST", `slot ${slot} does not answer`);
    const reply = await target.ask(JSON.parse(JSON.stringify(request)) as object);
    if (target.awayAfterPing && (request as { op: string }).op === "ping") target.away = true;
    return reply;
  }
}

/** The code and words of what a call fails with; fails itself if the call does not. */
export async function failureOf(action: () => unknown): Promise<{ code: ErrorCode; message: string }> {
  try {
    await action();
  } catch (error) {
    if (error instanceof WeftError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error("it succeeded, but should have failed");
}
