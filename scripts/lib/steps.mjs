// Runs a list of steps and shows how far it is. A step that fails says which one it was, why (the end of its
// log) and what to do. Steps that need a failed one are not run, and count as failed; the others go on. A step that
// `stops` (set-up) ends the list when it fails.
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { execute } from "./command.mjs";
import { logFolder, root } from "./paths.mjs";

const tailLines = 60;
const quietS = 30;

export class StepFailure extends Error {
  /** @param {string} reason one sentence @param {string} [next] what the reader does now */
  constructor(reason, next) {
    super(reason);
    this.next = next;
  }
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;

function tailOf(file) {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  const shown = lines.slice(-tailLines);
  return (lines.length > shown.length ? [`… ${lines.length - shown.length} lines before`] : [])
    .concat(shown)
    .join("\n");
}

/** One line that says what happens now: rewritten on a terminal, now and then a new line elsewhere. */
function startProgress(label, say) {
  const began = Date.now();
  let last = "";
  const terminal = process.stderr.isTTY === true;
  let spokeAt = began;
  const timer = setInterval(
    () => {
      const text = `${label} … ${seconds(Date.now() - began)}  ${last}`;
      if (terminal) {
        process.stderr.write(`\r\x1b[K${text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`);
      } else if (Date.now() - spokeAt >= quietS * 1000) {
        spokeAt = Date.now();
        say(text.slice(0, 160));
      }
    },
    terminal ? 500 : 1000,
  );
  return {
    line: (text) => (last = text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, "").trim()),
    end: () => {
      clearInterval(timer);
      if (terminal) process.stderr.write("\r\x1b[K");
      return Date.now() - began;
    },
  };
}

class Step {
  constructor(name, log, progress) {
    this.name = name;
    this.log = log;
    this.progress = progress;
    this.note = "";
  }

  say(text) {
    appendFileSync(this.log, `${text}\n`);
    this.progress.line(text.split("\n").at(-1));
  }

  /**
   * Runs a program with its output in the step's log; throws StepFailure unless `allowFailure`.
   * @param {string} program
   * @param {string[]} args
   * @param {{ next?: string, allowFailure?: boolean, timeoutS?: number, env?: Record<string, string | undefined> }} [options]
   */
  async run(program, args, { next, allowFailure = false, ...options } = {}) {
    const result = await execute(program, args, {
      ...options,
      log: this.log,
      onLine: (line) => this.progress.line(line),
    });
    if (result.status !== 0 && !allowFailure) throw new StepFailure(result.reason, next);
    return result;
  }
}

/**
 * @param {{ name: string, needs?: string[], next?: string, stops?: boolean, run: (step: Step) => Promise<object | void> }[]} steps
 * @returns {Promise<{ ok: boolean, results: { name: string, ok: boolean, ms: number, reason: string, value: any }[] }>}
 */
export async function runSteps(steps, { say = (text) => console.log(text) } = {}) {
  mkdirSync(logFolder, { recursive: true });
  const results = [];
  for (const [index, { name, needs = [], next, stops = false, run }] of steps.entries()) {
    const label = `[${index + 1}/${steps.length}] ${name}`;
    const missing = needs.find((needed) => results.some((result) => result.name === needed && !result.ok));
    if (missing !== undefined) {
      say(`${label}: not run, because "${missing}" failed`);
      results.push({ name, ok: false, ms: 0, reason: `not run, because "${missing}" failed`, value: undefined });
      continue;
    }
    const log = path.join(logFolder, `${name.replace(/[^a-z0-9]+/gi, "-").toLowerCase()}.log`);
    writeFileSync(log, "");
    const progress = startProgress(label, say);
    const step = new Step(name, log, progress);
    try {
      const value = await run(step);
      const ms = progress.end();
      say(`${label}: ok${step.note ? `, ${step.note}` : ""} (${seconds(ms)})`);
      results.push({ name, ok: true, ms, reason: "", value });
    } catch (error) {
      const ms = progress.end();
      const reason = error instanceof StepFailure ? error.message : (error.stack ?? String(error));
      say(`${label}: FAILED (${seconds(ms)})`);
      const tail = tailOf(log);
      if (tail) say(tail.replace(/^/gm, "    "));
      say(`  why:  ${reason}`);
      say(`  log:  ${path.relative(root, log)}`);
      const whatNext = error.next ?? next;
      if (whatNext) say(`  next: ${whatNext}`);
      results.push({ name, ok: false, ms, reason, value: error.value });
      if (stops) {
        const rest = steps.length - index - 1;
        if (rest > 0) say(`Stopped: ${rest} more step(s) need this one.`);
        break;
      }
    }
  }
  return { ok: results.every((result) => result.ok), results };
}

/** Runs steps up to the first that fails, which ends the process with status 1: for the commands that only build. */
export async function runStepsOrExit(steps) {
  const { ok } = await runSteps(steps.map((step) => ({ ...step, stops: true })));
  if (!ok) process.exit(1);
}
