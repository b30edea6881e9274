// partition.json of each partition of a slot: what lets the slot open its partitions by itself. docs/formats/catalogue.md
// has the bytes. Promises: written durably before a partition's files are made, deleted after them. A damaged one is
// reported and left alone.

import { isAbsolute, join } from "node:path";
import { WeftError } from "../errors.js";
import { problemOfName } from "../config/topic-config.js";
import { type ControlFiles, replaceFile } from "./control-files.js";
import type { Checksum } from "./record-file.js";
import { isUuid, type TopicDescription } from "./topic-description.js";

export const PARTITION_RECORD_VERSION = 1;
const FORMAT = "weftline-partition";
const FILE = "partition.json";
const OWNER = "owner"; // made by the data plane, docs/formats/log.md

export interface PartitionRecord {
  topic: TopicDescription;
  partition: number;
}

export class PartitionRecords {
  /** `data` undefined: nothing is kept beyond the process. */
  constructor(
    private readonly files: ControlFiles,
    readonly data: string | undefined,
    private readonly checksum: Checksum,
  ) {}

  directory(data: string, topic: string, partition: number): string {
    return join(data, "topics", topic, String(partition));
  }

  /** Every partition on record; `report` gets one error for each record that cannot be used. */
  async load(report: (path: string, error: WeftError) => void): Promise<PartitionRecord[]> {
    if (this.data === undefined) return [];
    const records: PartitionRecord[] = [];
    const topics = join(this.data, "topics");
    for (const topic of await this.files.list(topics)) {
      if (problemOfName(topic) !== undefined) continue;
      for (const partition of await this.files.list(join(topics, topic))) {
        if (!/^\d{1,4}$/.test(partition)) continue;
        const path = join(topics, topic, partition, FILE);
        try {
          const bytes = await this.files.read(path);
          if (bytes) records.push(this.decode(path, bytes, topic, Number(partition)));
        } catch (error) {
          if (!(error instanceof WeftError)) throw error;
          report(path, error);
        }
      }
    }
    return records;
  }

  private decode(path: string, bytes: Uint8Array, topic: string, partition: number): PartitionRecord {
    const text = Buffer.from(bytes).toString("utf8");
    const match = /^\{"checksum":"([0-9a-f]{8})","record":(\{.*\})\}\n$/s.exec(text);
    const body = match?.[2] ?? "";
    if (!match || this.checksumText(body) !== match[1]) {
      throw new WeftError("WEFT_CORRUPT", `${path} does not match its checksum`, {
        next: "restore it from a copy; until then this partition is unavailable",
      });
    }
    const record = JSON.parse(body) as PartitionRecord & { format: string; version: number };
    if (record.version > PARTITION_RECORD_VERSION) {
      throw new WeftError("WEFT_FORMAT_NEWER", `${path} has format version ${record.version}`);
    }
    if (
      record.format !== FORMAT ||
      record.topic?.name !== topic ||
      record.partition !== partition ||
      !isUuid(record.topic.uuid)
    ) {
      throw new WeftError("WEFT_CORRUPT", `${path} describes something else than where it lies`);
    }
    return { topic: record.topic, partition };
  }

  private checksumText(text: string): string {
    return (this.checksum(Buffer.from(text, "utf8")) >>> 0).toString(16).padStart(8, "0");
  }

  /** Durable when it returns. WEFT_TOPIC_EXISTS if files lie there that no record claims. */
  async write(topic: TopicDescription, partition: number): Promise<void> {
    if (this.data === undefined) return;
    const directory = this.directory(this.data, topic.name, partition);
    const strays = (await this.files.list(directory)).filter((name) => name !== `${FILE}.new`);
    if (strays.length > 0) {
      throw new WeftError(
        "WEFT_TOPIC_EXISTS",
        `${directory} holds ${strays.join(", ")} that no topic of this slot claims`,
        { next: "move that directory away, or choose another name for the topic" },
      );
    }
    await this.files.makeDirectory(directory);
    await this.put(this.data, topic, partition);
  }

  /** Puts a description in the place of the one that a partition has. Durable when it returns. */
  async replace(topic: TopicDescription, partition: number): Promise<void> {
    if (this.data !== undefined) await this.put(this.data, topic, partition);
  }

  private async put(data: string, topic: TopicDescription, partition: number): Promise<void> {
    const path = join(this.directory(data, topic.name, partition), FILE);
    const body = JSON.stringify({ format: FORMAT, version: PARTITION_RECORD_VERSION, partition, topic });
    const text = `{"checksum":"${this.checksumText(body)}","record":${body}}\n`;
    await replaceFile(this.files, path, Buffer.from(text, "utf8"));
  }

  /** Before each opening: the directories elsewhere, and the links to them. */
  async prepare(topic: TopicDescription, partition: number): Promise<void> {
    if (this.data === undefined) return;
    const directory = this.directory(this.data, topic.name, partition);
    for (const [kind, elsewhere] of Object.entries(this.directoriesElsewhere(topic, partition))) {
      await this.files.makeDirectory(elsewhere);
      await this.files.link(elsewhere, join(directory, kind));
    }
  }

  /** `metadata` and `data` of a partition where the topic's config puts them outside the data directory. */
  directoriesElsewhere(topic: TopicDescription, partition: number): { metadata?: string; data?: string } {
    const place = (base: string | undefined): string | undefined =>
      base !== undefined && isAbsolute(base) ? join(base, topic.name, String(partition)) : undefined;
    const metadata = place(topic.metadataDirectory);
    let data = place(topic.dataDirectory);
    if (data !== undefined && data === metadata) data = join(data, "data");
    return {
      ...(metadata === undefined ? {} : { metadata }),
      ...(data === undefined ? {} : { data }),
    };
  }

  /**
   * Deletes everything of the partition, the record last, so that a crash in between leaves it on record. A directory
   * elsewhere goes only if its `owner` names this partition: another job may keep a topic of this name there.
   */
  async remove(topic: TopicDescription, partition: number): Promise<void> {
    if (this.data === undefined) return;
    const directory = this.directory(this.data, topic.name, partition);
    const { metadata, data } = this.directoriesElsewhere(topic, partition);
    for (const elsewhere of [data, metadata]) {
      if (elsewhere === undefined) continue;
      const owner = await this.files.read(join(elsewhere, OWNER));
      // Without an owner it was never opened, or the data plane has emptied it.
      if (owner === undefined) await this.files.removeEmptyDirectory(elsewhere);
      else if (Buffer.from(owner).toString("utf8").trimEnd() === `${topic.uuid}/${partition}`) {
        // The owner last, when all else is gone for good: until then nobody else takes the directory.
        for (const name of await this.files.list(elsewhere)) {
          if (name !== OWNER) await this.files.removeDirectory(join(elsewhere, name));
        }
        await this.files.syncDirectory(elsewhere);
        await this.files.remove(join(elsewhere, OWNER));
        await this.files.removeEmptyDirectory(elsewhere);
      }
    }
    for (const name of await this.files.list(directory)) {
      if (name !== FILE) await this.files.removeDirectory(join(directory, name));
    }
    // Else a power loss could bring the files back without the record that claims them.
    await this.files.syncDirectory(directory);
    await this.files.remove(join(directory, FILE));
    await this.files.syncDirectory(directory);
    await this.files.removeEmptyDirectory(directory);
    await this.files.removeEmptyDirectory(join(this.data, "topics", topic.name));
  }
}
