// The program of the guard: `node guard-process.js`, started by a launcher (guard.ts), which writes to its standard input what
// it has started. When that ends while something is left, the launcher has died: the servers are asked to drain, then all
// that is left is ended, by process id and start time.

import { spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { thisMachine } from "./group-files.js";
import { type GuardFacts, type GuardMessage, WORLD } from "./guard.js";

const LOOK_MS = 50;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGPIPE"] as const) {
  process.on(signal, () => undefined); // it ends with the launcher, and not before
}

const machine = thisMachine();
const left = new Map<number, { readonly name: string; readonly startTime: string | undefined }>();
const temporaries: string[] = [];
let facts: GuardFacts | undefined;

function isThere(pid: number): boolean {
  const startTime = machine.startTimeOf(pid);
  return startTime !== undefined && startTime === left.get(pid)?.startTime;
}

const remaining = (): number[] => [...left.keys()].filter(isThere);

function signalAll(signal: NodeJS.Signals, groups: boolean): void {
  for (const pid of remaining()) {
    try {
      process.kill(groups ? -pid : pid, signal);
    } catch {
      // It ended in this moment.
    }
  }
}

async function whenGone(limitMs: number): Promise<boolean> {
  const end = Date.now() + limitMs;
  while (remaining().length > 0) {
    if (Date.now() >= end) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return true;
}

async function drain({ stop, drainMs }: GuardFacts): Promise<void> {
  if (stop === undefined) return;
  for (const { path, text } of stop.files) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    temporaries.push(dirname(path));
    writeFileSync(path, text);
  }
  const asking = spawn(stop.program, stop.argv, {
    env: { ...process.env, ...stop.environment },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const timer = setTimeout(() => asking.kill("SIGKILL"), drainMs);
  await new Promise<void>((resolve) => {
    asking.on("close", () => resolve());
    asking.on("error", () => resolve());
  });
  clearTimeout(timer);
}

function say(text: string): void {
  try {
    process.stderr.write(`weftline launch: ${text}\n`);
  } catch {
    // Nobody reads it any more.
  }
}
process.stderr.on("error", () => undefined);

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line) as GuardMessage;
  if ("facts" in message) ({ facts } = message);
  else if ("started" in message) {
    left.set(message.started, { name: message.name, startTime: machine.startTimeOf(message.started) });
  } else if ("ended" in message) left.delete(message.ended);
  else temporaries.push(message.temporary);
}

if (facts !== undefined && remaining().length > 0) {
  const names = remaining().map((pid) => `${left.get(pid)?.name ?? ""} (process ${pid})`);
  const hasServers = remaining().some((pid) => left.get(pid)?.name === WORLD);
  const how = hasServers ? ", servers drained first" : "";
  say(`the launcher (process ${facts.launcher}) has died: ${names.join(", ")} is ended${how}`);
  if (hasServers) await drain(facts);
  signalAll("SIGTERM", false);
  if (!(await whenGone(facts.patienceMs))) {
    signalAll("SIGKILL", true);
    await whenGone(facts.patienceMs);
  }
  say(`all that it had started has ended; the data is in ${facts.data}, and the same launch goes on with it`);
  if (facts.stageOut !== undefined) say(`it was not staged out; this does it: ${facts.stageOut}`);
}
for (const path of temporaries) rmSync(path, { recursive: true, force: true });
