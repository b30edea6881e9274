// Runs one program and says how it ended. A program with a log that outlives its time limit is ended with everything
// it started: it runs in a process group of its own. Ctrl-C and SIGTERM are passed on to that group. One on the terminal
// is told as well, and waited for: it may have results to write.
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, createWriteStream } from "node:fs";
import path from "node:path";
import { root } from "./paths.mjs";

const running = new Set();
/** On the terminal, in our own process group. */
const attached = new Set();
let endsWith;

function endGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.on(signal, () => {
    for (const child of running) endGroup(child, "SIGTERM");
    if (attached.size === 0) process.exit(status);
    endsWith = status;
    // A terminal's Ctrl-C has reached them.
    if (signal === "SIGTERM") for (const child of attached) child.kill("SIGTERM");
  });
}

/** Full path of a program on PATH, or undefined. */
export function findProgram(name, searchPath = process.env.PATH ?? "") {
  for (const folder of searchPath.split(path.delimiter)) {
    const candidate = path.join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not here: look in the next folder
    }
  }
  return undefined;
}

/** Output and status of a short program; a program that does not exist has the status 127. */
export function capture(program, args = [], options = {}) {
  const result = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 120_000,
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (result.error) return { status: 127, stdout: "", stderr: String(result.error.message) };
  return { status: result.status ?? 1, stdout: result.stdout, stderr: result.stderr };
}

/**
 * Runs a program with its output in a log file (appended), or on the terminal when no log is given.
 * @returns {Promise<{ status: number, reason: string }>} status 0, or another one and why, in words.
 */
export function execute(program, args, { log, onLine, env = {}, cwd = root, timeoutS = 1800, input = "ignore" } = {}) {
  return new Promise((resolve) => {
    const output = log ? createWriteStream(log, { flags: "a" }) : undefined;
    const line = [program, ...args].join(" ");
    // a check names every file: the first ones tell enough
    output?.write(`$ ${line.length > 1000 ? `${line.slice(0, 1000)} …` : line}\n`);
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [input, output ? "pipe" : "inherit", output ? "pipe" : "inherit"],
      detached: output !== undefined,
    });
    let timedOut = false;
    let killTimer;
    // Without a log it is of our own group, and cleans up after itself.
    const end = (signal) => (output ? endGroup(child, signal) : child.kill(signal));
    if (!output) attached.add(child);
    const timer = setTimeout(() => {
      timedOut = true;
      end("SIGTERM");
      killTimer = setTimeout(() => end("SIGKILL"), output ? 5000 : 180_000);
    }, timeoutS * 1000);
    if (output) {
      running.add(child);
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (bytes) => {
          output.write(bytes);
          const line = bytes.toString("utf8").trimEnd().split("\n").at(-1);
          if (line) onLine?.(line);
        });
      }
    }
    const finish = (status, reason) => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      running.delete(child);
      attached.delete(child);
      if (endsWith !== undefined && attached.size === 0) process.exit(endsWith);
      if (output) output.end(() => resolve({ status, reason }));
      else resolve({ status, reason });
    };
    child.on("error", (error) => finish(127, `${program} could not be started: ${error.message}`));
    child.on("close", (code, signal) => {
      if (timedOut) finish(124, `${path.basename(program)} was ended after ${timeoutS} s, its time limit`);
      else if (signal) finish(1, `${path.basename(program)} was ended by ${signal}`);
      else finish(code, code === 0 ? "" : `${path.basename(program)} ended with status ${code}`);
    });
  });
}
