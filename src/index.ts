/** The public exports of the package, nothing else. */
export { Consumer, type PartitionLag } from "./consumer/consumer.js";
export { Event, type FetchOptions, type Destination } from "./consumer/event.js";
export type {
  AckEvery,
  Allocate,
  AllocateFacts,
  ConsumeFrom,
  ConsumerOptions,
  ConsumeUntil,
  FrameFacts,
  PullOptions,
  RunOptions,
  SeekOptions,
  SeekTo,
  Select,
  SelectFacts,
  SelectFrame,
} from "./consumer/options.js";
export { all, box, metadataOnly, nothing, range, ranges, Selection, strided } from "./consumer/selection.js";
export type { Share } from "./consumer/static-group.js";
export { Server, serve, type ServeOptions } from "./control/serve.js";
export type { TopicChange } from "./control/topic-change.js";
export type { TopicDescription, TopicSummary } from "./control/topic-description.js";
export type { ModuleConfig } from "./config/module-config.js";
export type { KeyAtPointer, MetadataOfConfig, TopicConfig } from "./config/topic-config.js";
export { type ErrorCode, isWeftError, WeftError, type WeftErrorOptions } from "./errors.js";
export { type CollectiveOptions, Communicator } from "./job/communicator.js";
export { attach, type CreateTopicOptions, Job, join, openShared, type RequestOptions } from "./job/job.js";
export type { AttachOptions, JoinOptions } from "./job/options.js";
export { PingPong } from "./job/ping-pong.js";
export { Region, type RegionSlice } from "./job/region.js";
export { SharedData, shared } from "./job/shared.js";
export type { JobTicket } from "./job/ticket.js";
export { packed } from "./packed/packed.js";
export type { PackedMetadata } from "./packed/packed-metadata.js";
export type { PackedField, PackedSchema, PackedType } from "./packed/schema.js";
export type { FlushOptions } from "./producer/flush.js";
export { EncodedJson } from "./producer/metadata.js";
export type {
  EventData,
  EventSegment,
  Ordering,
  ProducerOptions,
  PushOptions,
  SelectPartition,
  StreamedEvent,
  WhenFull,
} from "./producer/options.js";
export { Producer } from "./producer/producer.js";
export { type EventId, Receipt, type StoredEvent } from "./producer/receipt.js";
export type { DecodeMetadata, EncodeWith, MetadataCodec } from "./topic/metadata-codec.js";
export type { ArrayBox, ArrayPart } from "./steps/assembly.js";
export type { LogGroup } from "./steps/log-channel.js";
export { type AssembleOptions, Step, StepPart } from "./steps/step.js";
export { OpenStep, StepProducer, type StepProducerOptions, type StepPushOptions } from "./steps/step-producer.js";
export type { PartitionState } from "./topic/context.js";
export { Topic } from "./topic/topic.js";
export type { EventPattern, PatternMember } from "./validator/event-pattern.js";
export type { SchemaMetadata } from "./validator/schema-metadata.js";
export type { DataDescription, Validate, ValidatorConfig } from "./validator/validator.js";
