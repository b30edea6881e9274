// Which rank runs what, and where. Servers and parts are spread over the nodes evenly, or by the room that each has where that
// differs; who is left over goes where least is.
// Ranks are numbered part by part, or node by node for launchers that fill their hosts in order. Pure.

import { WeftError } from "../errors.js";
import type { LaunchNode } from "./allocation.js";
import type { LaunchPlan, Part } from "./plan.js";

/** Ranks in a row, of one part on one node. */
export interface RankRun {
  readonly part: Part;
  readonly node: number;
  readonly firstRank: number;
  /** Of the part: 0 for the first of its ranks. */
  readonly firstOfPart: number;
  readonly count: number;
  /** Cores; undefined: as the launcher does it. */
  readonly boundTo?: string | undefined;
}

export interface RankMap {
  readonly nodes: readonly LaunchNode[];
  /** The MPI world, in the order of ranks. */
  readonly world: readonly RankRun[];
  readonly worldSize: number;
  /** Parts that attach, each on its own; their ranks are numbered from 0 in each. */
  readonly attached: readonly (readonly RankRun[])[];
  /** Server slots that are to come. */
  readonly slotCount: number;
}

export type RankOrder = "part" | "node";

/** How many ranks of a part each node gets. */
function spread(part: Part, load: readonly number[], room: readonly (number | undefined)[]): number[] {
  const nodes = load.length;
  if ("perNode" in part.count) return load.map(() => (part.count as { perNode: number }).perNode);
  const { ranks } = part.count;
  if (room.some((slots) => slots !== room[0])) return spreadByRoom(ranks, load, room);
  const counts = load.map(() => Math.floor(ranks / nodes));
  const least = load
    .map((_, node) => node)
    .sort((left, right) => (load[left] ?? 0) - (load[right] ?? 0) || left - right);
  for (const node of least.slice(0, ranks % nodes)) counts[node] = (counts[node] ?? 0) + 1;
  return counts;
}

/** Each to the node that is least full with it. */
function spreadByRoom(ranks: number, load: readonly number[], room: readonly (number | undefined)[]): number[] {
  const counts = load.map(() => 0);
  const fullness = (node: number): number => ((load[node] ?? 0) + (counts[node] ?? 0) + 1) / (room[node] ?? Infinity);
  for (let rank = 0; rank < ranks; rank++) {
    let best = 0;
    for (let node = 1; node < load.length; node++) if (fullness(node) < fullness(best)) best = node;
    counts[best] = (counts[best] ?? 0) + 1;
  }
  return counts;
}

interface Placed {
  readonly part: Part;
  readonly counts: readonly number[];
  readonly boundTo?: string;
}

/** A part whose ranks on a node are bound apart as one for each place: in a row are then the ranks of one place. */
function byPlace(placed: Placed): Placed[] {
  const { boundTo } = placed.part;
  if (boundTo === undefined) return [placed];
  return boundTo.map((cores) => ({ ...placed, counts: placed.counts.map(() => 1), boundTo: cores }));
}

function numbered(placed: readonly Placed[], nodeCount: number, order: RankOrder): { runs: RankRun[]; size: number } {
  const runs: RankRun[] = [];
  const ofPart = new Map<Part, number>();
  let rank = 0;
  const add = ({ part, counts, boundTo }: Placed, node: number): void => {
    const count = counts[node] ?? 0;
    if (count === 0) return;
    const firstOfPart = ofPart.get(part) ?? 0;
    runs.push({ part, node, firstRank: rank, firstOfPart, count, boundTo });
    ofPart.set(part, firstOfPart + count);
    rank += count;
  };
  const nodes = Array.from({ length: nodeCount }, (_, node) => node);
  const all = placed.flatMap(byPlace);
  if (order === "part") for (const each of all) for (const node of nodes) add(each, node);
  else for (const node of nodes) for (const each of all) add(each, node);
  return { runs, size: rank };
}

function slotsOf(placed: readonly Placed[]): number {
  let slots = 0;
  for (const { part, counts } of placed) {
    const ranks = counts.reduce((sum, count) => sum + count, 0);
    if (part.serves === "all") slots += ranks;
    else if (part.serves !== "none") slots += part.serves.filter((rank) => rank < ranks).length;
  }
  return slots;
}

/** WEFT_LIMIT: more ranks on a node than it has cores for. */
export function mapRanks(plan: LaunchPlan, nodes: readonly LaunchNode[], order: RankOrder): RankMap {
  const load = nodes.map(() => 0);
  const placed = plan.parts.map((part) => {
    const counts = spread(
      part,
      load,
      nodes.map(({ slots }) => slots),
    );
    for (const [node, count] of counts.entries()) load[node] = (load[node] ?? 0) + count;
    return { part, counts };
  });
  for (const [index, { host, slots }] of nodes.entries()) {
    const ranks = load[index] ?? 0;
    if (plan.oversubscribe || slots === undefined || ranks <= slots) continue;
    throw new WeftError("WEFT_LIMIT", `the plan puts ${ranks} ranks on ${host}, which has room for ${slots}`, {
      next: "ask for more nodes or run fewer ranks; launch: { oversubscribe: true } lets ranks share cores",
    });
  }
  const inWorld = placed.filter(({ part }) => !part.attaches);
  const { runs, size } = numbered(inWorld, nodes.length, order);
  return {
    nodes,
    world: runs,
    worldSize: size,
    attached: placed.filter(({ part }) => part.attaches).map((each) => numbered([each], nodes.length, order).runs),
    slotCount: slotsOf(inWorld),
  };
}

/** Which rank of the world, and where, is the server of a slot; undefined where the program itself decides. */
export function serverOfSlot(map: RankMap, slot: number): { rank: number; host: string } | undefined {
  let before = 0;
  for (const { part, node, firstRank, firstOfPart, count } of map.world) {
    for (let index = 0; index < count; index++) {
      const serves = part.serves === "all" || (part.serves !== "none" && part.serves.includes(firstOfPart + index));
      if (!serves) continue;
      if (before === slot) return { rank: firstRank + index, host: map.nodes[node]?.host ?? "" };
      before++;
    }
  }
  return undefined;
}

/** "solver.3": what a line of rank `rank` of these runs is labelled with. */
export function labelOfRank(runs: readonly RankRun[], rank: number): string | undefined {
  const run = runs.find(({ firstRank, count }) => rank >= firstRank && rank < firstRank + count);
  return run && `${run.part.name}.${run.firstOfPart + rank - run.firstRank}`;
}

type MergedRun = Pick<RankRun, "part" | "firstRank" | "boundTo"> & { count: number };

/** Runs in a row that are of one part and bound alike, as one. */
export function mergeRuns(runs: readonly RankRun[]): MergedRun[] {
  const merged: MergedRun[] = [];
  for (const { part, firstRank, count, boundTo } of runs) {
    const last = merged.at(-1);
    if (last?.part === part && last.boundTo === boundTo) last.count += count;
    else merged.push({ part, firstRank, count, boundTo });
  }
  return merged;
}
