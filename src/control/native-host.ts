// The ServerHost that the native core stands behind: names become the numbers of the C ABI, completions become promises.

import { WeftError } from "../errors.js";
import type { JobHandle, NativeBinding, ServerHandle } from "../native/binding.js";
import type { Completions } from "../native/completions.js";
import type { PartitionRecords } from "./partition-records.js";
import type { HostFacts, OpenedPartition, ServerHost } from "./server-host.js";
import { type TopicDescription, rulesOf, topicNumbers, uuidBytes } from "./topic-description.js";

export interface NativeHostParts {
  binding: NativeBinding;
  job: JobHandle;
  server: ServerHandle;
  completions: Completions;
  records: PartitionRecords;
}

export class NativeHost implements ServerHost {
  constructor(private readonly parts: NativeHostParts) {}

  facts(): HostFacts {
    const { binding, job, server } = this.parts;
    const { slot, slotEpoch, sessionCount, data, group } = binding.serverFacts(server);
    const { serverCount, group: groupOfJob } = binding.jobFacts(job);
    return {
      slot,
      slotEpoch,
      sessionCount,
      // A slot that joins alone may know of fewer slots than its own number says.
      slotCount: Math.max(1, slot + 1, serverCount),
      data: data === "" ? undefined : data,
      // Slots other than 0 learn of it while they join.
      group: group === "" ? groupOfJob : group,
    };
  }

  /** Sessions of processes that host no slot: now, and since the start. */
  clients(): { clientCount: number; clientsOpened: number } {
    const { server } = JSON.parse(this.parts.binding.jobCounters(this.parts.job)) as {
      server: { clients: number; clientsOpened: number };
    };
    return { clientCount: server.clients, clientsOpened: server.clientsOpened };
  }

  topicPut(topic: TopicDescription): void {
    this.parts.binding.serverTopicPut(this.parts.server, {
      name: topic.name,
      uuid: uuidBytes(topic.uuid),
      slots: topic.slots,
      ...topicNumbers(topic),
      json: JSON.stringify(topic),
    });
  }

  topicRemove(name: string): void {
    this.parts.binding.serverTopicRemove(this.parts.server, name);
  }

  async partitionOpen(topic: TopicDescription, partition: number): Promise<OpenedPartition> {
    const { binding, server, completions, records } = this.parts;
    const { storage, durability } = topicNumbers(topic);
    const elsewhere = records.directoriesElsewhere(topic, partition);
    const { values, text } = await completions.request(`opening partition ${topic.name}/${partition}`, (tag) => {
      binding.serverPartitionOpenAsync(
        server,
        {
          topic: topic.name,
          uuid: uuidBytes(topic.uuid),
          partition,
          storage,
          durability,
          metadataDirectory: elsewhere.metadata,
          dataDirectory: elsewhere.data,
          segmentBytes: topic.segmentBytes,
          memoryDataBytes: topic.memoryDataBytes,
          memoryMetadataBytes: topic.memoryMetadataBytes,
          ...rulesOf(topic),
        },
        tag,
      );
    });
    return { firstOffset: values[0], nextOffset: values[1], epoch: values[2], recovery: text };
  }

  async partitionAlter(topic: TopicDescription, partition: number): Promise<void> {
    const { binding, server, completions } = this.parts;
    await completions.request(`altering partition ${topic.name}/${partition}`, (tag) => {
      binding.serverPartitionAlterAsync(server, uuidBytes(topic.uuid), partition, rulesOf(topic), tag);
    });
  }

  async partitionClose(topic: TopicDescription, partition: number, remove: boolean): Promise<void> {
    const { binding, server, completions } = this.parts;
    await completions.request(`closing partition ${topic.name}/${partition}`, (tag) => {
      binding.serverPartitionCloseAsync(server, uuidBytes(topic.uuid), partition, remove, tag);
    });
  }

  partitionDescribe(topic: TopicDescription, partition: number): Record<string, unknown> {
    const { binding, server } = this.parts;
    const json = binding.serverPartitionDescribe(server, uuidBytes(topic.uuid), partition);
    return JSON.parse(json) as Record<string, unknown>;
  }

  async control(slot: number, request: object, timeoutMs: number): Promise<Record<string, unknown>> {
    const { binding, job, completions } = this.parts;
    const { text } = await completions.request(`a control request to slot ${slot}`, (tag) => {
      binding.controlAsync(job, slot, JSON.stringify(request), timeoutMs, tag);
    });
    try {
      return JSON.parse(text) as Record<string, unknown>;
    } catch (cause) {
      throw new WeftError("WEFT_INTERNAL", `slot ${slot} answered a control request with what is not JSON`, { cause });
    }
  }
}
