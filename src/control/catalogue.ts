// Which topics exist, and where their partitions lie. Belongs to slot 0; docs/formats/catalogue.md has the bytes.
//
// Promises: a change that resolved is durable (unless the slot has no data directory, then it lasts as long as the
// process), and what the catalogue says in memory never runs ahead of the file. Changes are written one after another
// in the order of their calls. What can fail: see record-file.ts; a failed change leaves the catalogue as it was.

import { join } from "node:path";
import { WeftError } from "../errors.js";
import type { ControlFiles } from "./control-files.js";
import { type CatalogueRecord, type Checksum, RecordFile } from "./record-file.js";
import { isUuid, type TopicDescription } from "./topic-description.js";

export const CATALOGUE_VERSION = 1;
export const TOPICS_MAX = 65_536;
const FORMAT = "weftline-catalogue";
const COMPACT_RECORDS_MIN = 64;

/** "altering": created, and some slots may still have the description before. */
export type TopicState = "creating" | "created" | "altering" | "removing" | "removed";
const STATES: readonly string[] = ["creating", "created", "altering", "removing", "removed"];

export interface CatalogueEntry {
  readonly topic: TopicDescription;
  readonly requestId: string;
  readonly state: TopicState;
}

export interface CatalogueOptions {
  files: ControlFiles;
  /** Data directory; undefined keeps the catalogue in memory. */
  data: string | undefined;
  checksum: Checksum;
  warn: (text: string) => void;
}

export class Catalogue {
  private readonly byName = new Map<string, CatalogueEntry>();
  private readonly byUuid = new Map<string, CatalogueEntry>();
  private queue: Promise<unknown> = Promise.resolve();
  private recordCount = 0;
  private recordLast = 0;
  private topicsEver = 0;

  private constructor(
    private readonly file: RecordFile | undefined,
    private readonly warn: (text: string) => void,
  ) {}

  static async open(options: CatalogueOptions): Promise<Catalogue> {
    if (options.data === undefined) return new Catalogue(undefined, options.warn);
    const path = join(options.data, "catalogue");
    const { file, records } = await RecordFile.open(options.files, path, options.checksum, options.warn);
    const catalogue = new Catalogue(file, options.warn);
    try {
      catalogue.load(path, records);
      if (records.length === 0) {
        await catalogue.append({ type: "header", format: FORMAT, version: CATALOGUE_VERSION });
        // The file's name has to survive a power loss as well.
        await options.files.syncDirectory(options.data);
      }
      await catalogue.compactIfWorthwhile();
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    return catalogue;
  }

  private load(path: string, records: readonly CatalogueRecord[]): void {
    const [header] = records;
    if (!header) return;
    if (header.type !== "header" || header["format"] !== FORMAT) {
      throw new WeftError("WEFT_CORRUPT", `${path} is not a catalogue of Weftline`, {
        next: "restore it from a copy, or give another data directory",
      });
    }
    const version = Number(header["version"]);
    if (version > CATALOGUE_VERSION) {
      throw new WeftError(
        "WEFT_FORMAT_NEWER",
        `${path} has format version ${version}; this version of Weftline knows up to ${CATALOGUE_VERSION}`,
      );
    }
    for (const record of records.slice(1)) this.applyLoaded(path, record);
    this.recordCount = records.length;
    this.recordLast = records.at(-1)?.n ?? 0;
  }

  private applyLoaded(path: string, record: CatalogueRecord): void {
    const state = String(record["state"]);
    const known = STATES.includes(state);
    if (record.type === "topic" && known) {
      const topic = record["topic"] as TopicDescription;
      if (isUuid(topic?.uuid) && Array.isArray(topic.slots)) {
        this.put({ topic, requestId: String(record["requestId"]), state: state as TopicState });
        return;
      }
    }
    if (record.type === "state" && known) {
      const entry = this.byUuid.get(String(record["uuid"]));
      if (entry) {
        this.put({ ...entry, state: state as TopicState });
        return;
      }
    }
    throw new WeftError("WEFT_CORRUPT", `${path}: record ${record.n} (${record.type}) makes no sense where it stands`, {
      next: "restore the file from a copy",
    });
  }

  private put(entry: CatalogueEntry): void {
    const { name, uuid } = entry.topic;
    if (!this.byUuid.has(uuid)) this.topicsEver++;
    if (entry.state === "removed") {
      this.byUuid.delete(uuid);
      if (this.byName.get(name)?.topic.uuid === uuid) this.byName.delete(name);
    } else {
      this.byUuid.set(uuid, entry);
      this.byName.set(name, entry);
    }
  }

  private async append(record: Omit<CatalogueRecord, "n"> & { type: string }): Promise<void> {
    const numbered: CatalogueRecord = { n: this.recordLast + 1, ...record };
    await this.file?.append(numbered);
    this.recordLast = numbered.n;
    this.recordCount++;
  }

  /** Runs changes one after another; a failed one does not hold up the next. */
  private change<T>(action: () => Promise<T>): Promise<T> {
    const result = this.queue.then(action);
    this.queue = result.catch(() => undefined);
    return result;
  }

  /** Records a topic that is about to be created. The name must be free: a programmer's error otherwise. */
  begin(topic: TopicDescription, requestId: string): Promise<void> {
    return this.change(async () => {
      if (this.byName.has(topic.name)) throw new Error(`catalogue: topic ${topic.name} is there already`);
      if (this.byName.size >= TOPICS_MAX) {
        throw new WeftError("WEFT_LIMIT", `there are ${TOPICS_MAX} topics already, which is the limit`);
      }
      await this.append({ type: "topic", topic, requestId, state: "creating" });
      this.put({ topic, requestId, state: "creating" });
    });
  }

  /** Records another description of a topic that is there. */
  alter(topic: TopicDescription): Promise<void> {
    return this.change(async () => {
      const entry = this.byUuid.get(topic.uuid);
      if (!entry) throw new Error(`catalogue: no topic has the uuid ${topic.uuid}`);
      const { requestId } = entry;
      await this.append({ type: "topic", topic, requestId, state: "altering" });
      this.put({ topic, requestId, state: "altering" });
      await this.compactIfWorthwhile();
    });
  }

  setState(uuid: string, state: TopicState): Promise<void> {
    return this.change(async () => {
      const entry = this.byUuid.get(uuid);
      if (!entry) throw new Error(`catalogue: no topic has the uuid ${uuid}`);
      if (entry.state === state) return;
      await this.append({ type: "state", uuid, state });
      this.put({ ...entry, state });
      await this.compactIfWorthwhile();
    });
  }

  private async compactIfWorthwhile(): Promise<void> {
    if (!this.file || this.recordCount <= COMPACT_RECORDS_MIN || this.recordCount <= 2 * this.byUuid.size) return;
    let n = 1;
    const records: CatalogueRecord[] = [{ n, type: "header", format: FORMAT, version: CATALOGUE_VERSION }];
    for (const { topic, requestId, state } of this.byUuid.values()) {
      records.push({ n: ++n, type: "topic", topic, requestId, state });
    }
    try {
      await this.file.replace(records);
      this.recordCount = records.length;
      this.recordLast = n;
    } catch (error) {
      // The long file is as good as the short one.
      this.warn(`${this.file.path} could not be compacted: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  get(name: string): CatalogueEntry | undefined {
    return this.byName.get(name);
  }

  /** All that are not removed, in order of name. */
  entries(): CatalogueEntry[] {
    return [...this.byName.values()].sort((left, right) => (left.topic.name < right.topic.name ? -1 : 1));
  }

  /** How many topics were begun so far, removed ones that are still on record included. */
  get begunCount(): number {
    return this.topicsEver;
  }

  async close(): Promise<void> {
    await this.queue;
    await this.file?.close();
  }
}
