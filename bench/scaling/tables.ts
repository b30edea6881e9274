/** The results for people, as tables in Markdown. */
import { median } from "../suite/statistics.js";
import { type Compared, type Slopes, errorPercent } from "./comparison.js";
import { jobOn, machines, measured, predict } from "./model.js";
import type { RankReport, Stage } from "./report.js";
import type { WorldReports } from "./world.js";

const whole = (value: number): string => Math.round(value).toLocaleString("en");
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

export function worldsTable(worlds: readonly WorldReports[]): string {
  const head = [
    ...["world", "join, ms, median", "of it CPU", "server MiB resident", "anonymous", "descriptors", "tcp connections"],
    ...["threads", "its lane idle, % of a core", "client MiB anonymous", "descriptors", "threads"],
  ];
  const rows = worlds.map(({ shape, stages }) => {
    const server = (stage: Stage): RankReport => stages[stage].servers[0] as RankReport;
    const client = (stage: Stage): RankReport => stages[stage].clients[0] as RankReport;
    const { footprint } = server("consumed");
    const idleLaneMs = server("idle").footprint.laneCpuMs - footprint.laneCpuMs;
    const cpu = stages.joined.clients.map((report) => report.cpuMs);
    const mine = client("consumed").footprint;
    return [
      ...[shape.name, whole(median(stages.start.clients.map(({ elapsedMs }) => elapsedMs))), whole(median(cpu))],
      ...[mebibytes(footprint.residentBytes), mebibytes(footprint.anonymousBytes)],
      ...[whole(footprint.descriptors), whole(footprint.connections), whole(footprint.threads)],
      ((100 * idleLaneMs) / server("idle").elapsedMs).toFixed(2),
      ...[mebibytes(mine.anonymousBytes), whole(mine.descriptors), whole(mine.threads)],
    ];
  });
  return table(head, rows);
}

export function worldTable(name: string, rows: readonly Compared[]): string {
  const cells = rows.map((row) => {
    const error = errorPercent(row);
    return [row.what, whole(row.measured), whole(row.predicted), error === undefined ? "" : `${error.toFixed(0)} %`];
  });
  return table([name, "measured", "predicted", "error"], cells);
}

export function slopesTable(what: string, slopes: Slopes): string {
  const rows = [
    ["memory, bytes (not JavaScript's)", whole(slopes.sessionBytes)],
    ["processor time of the lane to let it in, µs", whole(slopes.joinCpuUs)],
    ["descriptors", slopes.descriptors.toFixed(2)],
    ["tcp connections", slopes.connections.toFixed(2)],
    ["processor time of the lane while idle, µs/s", slopes.idleCpuUsPerSecond.toFixed(1)],
  ];
  return `${table([`a server, for ${what}`, "amount"], rows)}\n`;
}

export function predictionTable(): string {
  const head = [
    ...[
      "machine, nodes",
      "clients",
      "MPI bytes a rank",
      "sessions of slot 0",
      "of another: joined, at work",
      "MiB for sessions of slot 0",
    ],
    ...["producers a server", "MiB for them", "heartbeats/s, all", "idle CPU of slot 0, cores", "group directory KiB"],
    ...["catalogue KiB", "cursors KiB"],
  ];
  const rows = machines.flatMap((machine) =>
    [10, 100, 1000].map((nodes) => {
      const job = jobOn(machine, nodes);
      const cost = predict(job);
      const beyond = nodes > machine.nodes ? " (it has fewer)" : "";
      return [
        ...[`${machine.name}, ${nodes}${beyond}`, whole(job.clients), whole(cost.exchangeBytes)],
        ...[
          whole(cost.sessionsOfFirst),
          `${whole(cost.sessionsOfOther)}, ${whole(cost.sessionsOfOtherAtWork)}`,
          mebibytes(cost.serverSessionBytes),
        ],
        ...[whole(cost.producersOfServer), mebibytes(cost.serverProducerBytes), whole(cost.heartbeatsPerSecond)],
        ...[cost.idleCpuShare.toFixed(3), whole(cost.groupDirectoryBytes / 1024)],
        ...[whole(cost.catalogueBytes / 1024), whole(cost.cursorBytes / 1024)],
      ];
    }),
  );
  return `${table(head, rows)}\n\nOver tcp; a lane takes ${mebibytes(measured.tcpLaneBytes)} MiB of each process there.`;
}
