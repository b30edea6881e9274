/**
 * Arrivals at a fixed rate, whatever the system does: a thread of its own sleeps until the next one is due and says so.
 * An arrival that comes late is late against its due time, so a system that stalls pays for all that waited meanwhile.
 */
import { Worker } from "node:worker_threads";

const program = `
const { parentPort, workerData } = require("node:worker_threads");
const { beginUs, intervalUs, count } = workerData;
const cell = new Int32Array(new SharedArrayBuffer(4));
const nowUs = () => Number(process.hrtime.bigint()) / 1000;
let sent = 0;
while (sent < count) {
  const waitUs = beginUs + sent * intervalUs - nowUs();
  if (waitUs > 0) Atomics.wait(cell, 0, 0, waitUs / 1000);
  const due = Math.min(count, Math.floor((nowUs() - beginUs) / intervalUs) + 1);
  if (due > sent) parentPort.postMessage((sent = due));
}
`;

/** Calls `arrive` with each number from 0 to `count`, and its due time on the local clock; resolves after the last. */
export async function tick(
  beginUs: number,
  intervalUs: number,
  count: number,
  arrive: (index: number, dueUs: number) => void,
): Promise<void> {
  const worker = new Worker(program, { eval: true, workerData: { beginUs, intervalUs, count } });
  let next = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", (due: number) => {
        try {
          for (; next < due; next++) arrive(next, beginUs + next * intervalUs);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
        if (next >= count) resolve();
      });
    });
  } finally {
    await worker.terminate();
  }
}
