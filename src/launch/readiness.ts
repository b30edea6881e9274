// Whether the servers of a launch are there, and later whether they have gone, told by the group directory. Woken by the
// file system where it reports changes; a shared one reports nothing of other nodes, so it is looked at again anyway.

import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { isDirectory, readJobId, readSlotFile } from "./group-files.js";

const LOOK_MS = 100;

/** Resolves with the condition's value once it has one; undefined when the time is over or `signal` is aborted. */
export async function whenInDirectory<T>(
  directory: string,
  condition: () => T | undefined,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<T | undefined> {
  const end = Date.now() + deadlineMs;
  let watcher: FSWatcher | undefined;
  let watched = "";
  let wake: () => void = () => undefined;
  const follow = (): void => {
    const nearest = isDirectory(directory) ? directory : dirname(directory);
    if (watched === nearest || !isDirectory(nearest)) return;
    watcher?.close();
    watcher = undefined;
    try {
      watcher = watch(nearest, () => wake());
      watcher.on("error", () => undefined); // it is looked at anyway
      watched = nearest;
    } catch {
      // No more watches to be had.
    }
  };
  try {
    for (;;) {
      follow();
      const value = condition();
      if (value !== undefined) return value;
      const leftMs = end - Date.now();
      if (leftMs <= 0 || signal.aborted) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, Math.min(LOOK_MS, leftMs));
        function done(): void {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          resolve();
        }
        wake = done;
        signal.addEventListener("abort", done, { once: true });
      });
    }
  } finally {
    watcher?.close();
  }
}

/** What was there before the launch: files that a job left behind are no servers of this one. */
export type GroupBefore = ReadonlyMap<number, string>;

export function groupBefore(group: string, slotCount: number): GroupBefore {
  const before = new Map<number, string>();
  for (let slot = 0; slot < slotCount; slot++) {
    const file = readSlotFile(group, slot);
    if (file) before.set(slot, file.text);
  }
  return before;
}

/** Slots of the launch that have not come yet. */
export function missingSlots(group: string, slotCount: number, before: GroupBefore): number[] {
  const job = readJobId(group);
  return Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => {
    const file = readSlotFile(group, slot);
    return file === undefined || file.text === before.get(slot) || file.job !== job;
  });
}

/** Slots of the launch that are still there. */
export function presentSlots(group: string, slotCount: number, before: GroupBefore): number[] {
  return Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => {
    const file = readSlotFile(group, slot);
    return file !== undefined && file.text !== before.get(slot);
  });
}
