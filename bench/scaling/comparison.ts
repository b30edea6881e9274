/** Measured worlds beside what the model says of them. Pure. */
import { type Prediction, predict } from "./model.js";
import type { RankReport, Stage } from "./report.js";
import { median } from "../suite/statistics.js";
import type { StageReports, WorldReports } from "./world.js";

export interface Compared {
  readonly what: string;
  readonly measured: number;
  readonly predicted: number;
}

/** Of a world, in the order of the table. */
export function compare(world: WorldReports): Compared[] {
  const { shape, stages } = world;
  const clients = shape.clients * shape.memberships;
  const model: Prediction = predict({
    clients,
    ranks: shape.clientsBy === "join" ? shape.servers + shape.clients : 0,
    servers: shape.servers,
    partitions: shape.partitions,
    partitionsProducedTo: shape.partitions,
    partitionsRead: 1,
    isOneHost: true,
  });
  const servers = (stage: Stage): readonly RankReport[] => stages[stage].servers;
  const first = (stage: Stage): RankReport => servers(stage)[0] as RankReport;
  const client = (stage: Stage): RankReport => stages[stage].clients[0] as RankReport;
  const sum = (stage: Stage, of: (report: RankReport) => number): number =>
    servers(stage).reduce((total, report) => total + of(report), 0);
  const counter = (report: RankReport, part: string, name: string): number => report.counters[part]?.[name] ?? 0;
  // By the first client's count: servers count what slot 0 asks of the others as well.
  const joined = (name: string): number => clients * transportCounter(client("joined"), name);
  const rows: Compared[] = [
    {
      what: "sessions of slot 0, joined",
      measured: counter(first("joined"), "server", "clients"),
      predicted: model.sessionsOfFirst,
    },
    {
      what: "connections of a client, joined",
      measured: counter(client("joined"), "fabric", "peersUp"),
      predicted: model.clientConnectionsAtJoin,
    },
    {
      what: "messages until all are in",
      measured: joined("messagesSent") + joined("messagesReceived"),
      predicted: model.joinMessages,
    },
    {
      what: "… their bytes",
      measured: joined("messageBytesSent") + joined("messageBytesReceived"),
      predicted: model.joinMessageBytes,
    },
    {
      what: "producers of a server",
      measured: sum("produced", (report) => counter(report, "server", "producers")) / shape.servers,
      predicted: model.producersOfServer,
    },
    {
      what: "memory of a client for a ring, bytes",
      measured:
        median(stages.consumed.clients.map((report, i) => nativeBytes(report) - nativeBytesAt(stages.produced, i))) /
        shape.memberships,
      predicted: model.clientRingBytes,
    },
    {
      what: "descriptors of slot 0, all at work",
      measured: first("consumed").footprint.descriptors,
      predicted: model.serverDescriptors,
    },
    { what: "group directory, bytes", measured: world.group.bytes, predicted: model.groupDirectoryBytes },
    { what: "catalogue, bytes", measured: world.files.catalogue, predicted: model.catalogueBytes },
    { what: "cursors, bytes", measured: world.files.cursors, predicted: model.cursorBytes },
  ];
  // Less is lost in what the memory of a server varies by from stage to stage.
  if (model.serverProducerBytes > 8 * 2 ** 20) {
    rows.push({
      what: "memory of a server for producers, bytes",
      measured: sum("produced", nativeBytes) / shape.servers - sum("joined", nativeBytes) / shape.servers,
      predicted: model.serverProducerBytes,
    });
  }
  if (shape.clientsBy === "join") {
    rows.unshift({
      what: "bytes that a rank gets over MPI",
      measured: counter(client("joined"), "join", "bytesGot"),
      predicted: model.exchangeBytes,
    });
  }
  return rows;
}

function transportCounter(report: RankReport, name: string): number {
  const transports = report.counters["fabric"]?.["transports"] as unknown as Record<string, Record<string, number>>;
  return Object.values(transports ?? {}).reduce((total, transport) => total + (transport[name] ?? 0), 0);
}
const nativeBytesAt = (stage: StageReports, index: number): number => nativeBytes(stage.clients[index] as RankReport);
const nativeBytes = (report: RankReport): number => report.footprint.nativeBytes;

/** In percent of what was measured; undefined where that is nothing. */
export function errorPercent({ measured, predicted }: Compared): number | undefined {
  return measured === 0 ? undefined : (100 * (predicted - measured)) / measured;
}

/** Slope of a straight line through the points, by least squares. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((total, [x]) => total + x, 0) / points.length;
  const meanY = points.reduce((total, [, y]) => total + y, 0) / points.length;
  const above = points.reduce((total, [x, y]) => total + (x - meanX) * (y - meanY), 0);
  const below = points.reduce((total, [x]) => total + (x - meanX) ** 2, 0);
  return above / below;
}

/** What one client more costs a server, from worlds that differ in their clients only. */
export interface Slopes {
  readonly sessionBytes: number;
  readonly joinCpuUs: number;
  readonly descriptors: number;
  readonly connections: number;
  readonly idleCpuUsPerSecond: number;
}

export function slopesOf(worlds: readonly WorldReports[]): Slopes {
  const by = (of: (world: WorldReports) => number): number =>
    slope(worlds.map((world) => [world.shape.clients * world.shape.memberships, of(world)]));
  const first = (world: WorldReports, stage: Stage): RankReport => world.stages[stage].servers[0] as RankReport;
  return {
    sessionBytes: by((world) => nativeBytes(first(world, "joined"))),
    joinCpuUs: by((world) => first(world, "joined").footprint.laneCpuMs * 1_000),
    descriptors: by((world) => first(world, "joined").footprint.descriptors),
    connections: by((world) => first(world, "joined").footprint.connections),
    idleCpuUsPerSecond: by((world) => {
      const laneMs = first(world, "idle").footprint.laneCpuMs - first(world, "consumed").footprint.laneCpuMs;
      return (laneMs * 1e6) / first(world, "idle").elapsedMs;
    }),
  };
}
