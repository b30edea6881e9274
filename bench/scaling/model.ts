/**
 * What a job costs, as a function of its shape. The constants are of two kinds: sizes that the sources fix, and amounts
 * that `npm run bench:scaling` measures and compares with what is written here (docs/scaling.md). Pure.
 */

export interface Job {
  /** Processes, or memberships, that are clients. */
  readonly clients: number;
  /** Ranks of the MPI world; 0 when all clients came from outside it. */
  readonly ranks: number;
  readonly servers: number;
  /** Of the one topic that all use. */
  readonly partitions: number;
  /** Partitions that a producer without a name pushes to; each client has one. 0: no producers. */
  readonly partitionsProducedTo: number;
  /** Partitions that a client reads at the same time, under a name of its own. */
  readonly partitionsRead: number;
  /** Whether all processes are on one host: each then watches the others' processes. */
  readonly isOneHost: boolean;
}

/** Fixed by the sources. */
export const fixed = {
  /** RankCard, JobCard, a code, a length, ServerCard: native/library/join.h and finish.cc. */
  rankCardBytes: 32,
  jobCardBytes: 48,
  codeBytes: 4,
  lengthBytes: 8,
  serverCardBytes: 24,
  /** Slots that a client connects to while it joins: kEarlySlotsMax. */
  earlySlotsMax: 16,
  /** Partitions that a producer without a name opens at once: kPartitionsOpenedEarlyMax. */
  earlyPartitionsMax: 16,
  /** Of a consumer, for each partition that it reads (prefetch_bytes); touched when it is opened. */
  ringBytes: 4 * 2 ** 20,
  /** Heartbeats a second in each direction over a connection that carries nothing else. */
  heartbeatsPerSecond: 1,
  /** The head of a partition's file of cursors, and one cursor in it: docs/formats/log.md. */
  cursorFileBytes: 64,
  cursorBytes: 256,
} as const;

/** Measured on two cores with Debian 12, libfabric 1.17.0, Node 20: the table in docs/scaling.md says how well. */
export const measured = {
  /** What a server tells of itself at the join: its lane's address; and what all but tell, the group directory's path. */
  addressBytes: 115,
  groupPathBytes: 69,
  /** Messages between a client and a server, both directions, until the client is let in, and their bytes. */
  joinMessages: 6,
  joinMessageBytes: 487,
  /** Of the time of a server's lane, to let a client of the same launch in. */
  joinCpuUs: 300,
  /** Over tcp; and for each process of the same host that is watched. */
  descriptorsPerSession: 1,
  descriptorsPerWatchedProcess: 1,
  /** Of a partition on disk that is empty, and once it holds events. */
  descriptorsPerPartition: 4,
  /** Of a server that has neither clients nor partitions. */
  serverDescriptors: 46,
  /** Of a server's memory, for each partition on disk that is written to, and for each client that opened one to push. */
  partitionBytes: 6_700,
  producerBytes: 2_950,
  /** Of a server's memory, for each session over tcp. */
  sessionBytes: 24_000,
  /** Of the time of a server's lane, for each session that carries nothing but heartbeats. */
  idleSessionCpuUsPerSecond: 75,
  /** Of any process that opens a lane with tcp: buffers of libfabric's own, before any connection. */
  tcpLaneBytes: 87 * 10 ** 6,
  /** Files of the group directory: that of the job, that of each slot. */
  groupJobFileBytes: 148,
  groupSlotFileBytes: 429,
  /** Lines of the catalogue about a topic, without the list of its partitions' slots. */
  catalogueTopicBytes: 680,
} as const;

export interface Prediction {
  /** What each rank gets over MPI at the join. */
  readonly exchangeBytes: number;
  /** Servers that a client is connected to: when it has joined, when it has opened its producer and its consumer. */
  readonly clientConnectionsAtJoin: number;
  readonly clientConnections: number;
  /** Sessions at the join: of slot 0, which knows every client, and on average of another. */
  readonly sessionsOfFirst: number;
  readonly sessionsOfOther: number;
  /** … when all have opened their producers and consumers. */
  readonly sessionsOfOtherAtWork: number;
  /** Of all servers: messages until all clients are in, both directions. */
  readonly joinMessages: number;
  readonly joinMessageBytes: number;
  /** Of slot 0, until all are in; without waiting for anything, and without others on its core. */
  readonly joinCpuSecondsOfFirst: number;
  readonly producersOfServer: number;
  /** Of slot 0, when all produce and consume, and it has made a topic on all servers. */
  readonly serverDescriptors: number;
  readonly serverProducerBytes: number;
  readonly serverSessionBytes: number;
  /** Of slot 0: what heartbeats alone take of one core. */
  readonly idleCpuShare: number;
  readonly heartbeatsPerSecond: number;
  readonly clientRingBytes: number;
  readonly groupDirectoryBytes: number;
  readonly catalogueBytes: number;
  /** Of all partitions. */
  readonly cursorBytes: number;
}

/** In the catalogue: each partition's slot in decimal digits, with a comma; partitions lie on the slots in turn. */
export function slotListBytes(servers: number, partitions: number): number {
  let bytes = 0;
  for (let partition = 0; partition < partitions; partition++) bytes += String(partition % servers).length + 1;
  return bytes;
}

export function predict(job: Job): Prediction {
  const { clients, servers, partitions } = job;
  const early = Math.min(servers, fixed.earlySlotsMax);
  const openedAtOnce = job.partitionsProducedTo === 0 ? 0 : Math.min(partitions, fixed.earlyPartitionsMax);
  const opened = Math.min(partitions, Math.max(openedAtOnce, job.partitionsProducedTo));
  const producersOfServer = (clients * opened) / servers;
  const sessionsOfOther = servers === 1 ? clients : (clients * (early - 1)) / (servers - 1);
  // Partitions lie on the slots in turn; the early slots may be others than those in use.
  const used = Math.min(servers, opened) + Math.min(servers, job.partitionsRead);
  const clientConnections = Math.min(servers, early + used);
  const sessionsOfOtherAtWork = servers === 1 ? clients : (clients * (clientConnections - 1)) / (servers - 1);
  const watched = job.isOneHost ? measured.descriptorsPerWatchedProcess : 0;
  return {
    exchangeBytes:
      job.ranks === 0
        ? 0
        : job.ranks * (fixed.rankCardBytes + fixed.codeBytes + fixed.lengthBytes) +
          fixed.jobCardBytes +
          servers * (fixed.serverCardBytes + measured.addressBytes) +
          measured.groupPathBytes,
    clientConnectionsAtJoin: early,
    clientConnections,
    sessionsOfFirst: clients,
    sessionsOfOther,
    sessionsOfOtherAtWork,
    joinMessages: clients * early * measured.joinMessages,
    joinMessageBytes: clients * early * measured.joinMessageBytes,
    joinCpuSecondsOfFirst: (clients * measured.joinCpuUs) / 1e6,
    producersOfServer,
    serverDescriptors:
      measured.serverDescriptors +
      clients * (measured.descriptorsPerSession + watched) +
      (servers - 1) * (measured.descriptorsPerSession + watched) +
      Math.ceil(partitions / servers) * measured.descriptorsPerPartition,
    serverProducerBytes: (partitions / servers) * measured.partitionBytes + producersOfServer * measured.producerBytes,
    serverSessionBytes: clients * measured.sessionBytes,
    idleCpuShare: (clients * measured.idleSessionCpuUsPerSecond) / 1e6,
    heartbeatsPerSecond: 2 * clients * clientConnections * fixed.heartbeatsPerSecond,
    clientRingBytes: job.partitionsRead * fixed.ringBytes,
    groupDirectoryBytes: measured.groupJobFileBytes + servers * measured.groupSlotFileBytes,
    catalogueBytes: measured.catalogueTopicBytes + slotListBytes(servers, partitions),
    cursorBytes: partitions * fixed.cursorFileBytes + clients * job.partitionsRead * fixed.cursorBytes,
  };
}

/** Public documentation of the machines; docs/scaling.md names it. */
export interface Machine {
  readonly name: string;
  readonly nodes: number;
  /** Ranks of a node that are clients: one for each GPU, as jobs there usually have. */
  readonly clientsPerNode: number;
  readonly clientsPerNodeMax: number;
  readonly nicsPerNode: number;
  readonly nicBytesPerSecond: number;
}

export const machines: readonly Machine[] = [
  { name: "Polaris", nodes: 560, clientsPerNode: 4, clientsPerNodeMax: 31, nicsPerNode: 2, nicBytesPerSecond: 25e9 },
  { name: "Frontier", nodes: 9_856, clientsPerNode: 8, clientsPerNodeMax: 55, nicsPerNode: 4, nicBytesPerSecond: 25e9 },
];

/** A topic has no more: src/config/topic-config.ts. */
const partitionsMax = 4_096;

/** One server on each node, with one partition; each client pushes to one and reads one. */
export function jobOn(machine: Machine, nodes: number, clientsPerNode = machine.clientsPerNode): Job {
  const clients = nodes * clientsPerNode;
  return {
    clients,
    ranks: clients + nodes,
    servers: nodes,
    partitions: Math.min(nodes, partitionsMax),
    partitionsProducedTo: 1,
    partitionsRead: 1,
    isOneHost: false,
  };
}
