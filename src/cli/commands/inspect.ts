// weftline log verify, config explain, status, stop: looking at things, and ending a job's servers.

import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { explain, explainText } from "../../config/explain.js";
import { WeftError } from "../../errors.js";
import { native } from "../../native/addon.js";
import { type ClientOptions, clientConfiguration, type GlobalOptions, loadFor, openJob } from "../command-context.js";
import { EXIT } from "../exit-codes.js";
import { columns, grouped, type Terminal } from "../terminal.js";
import { addClientOptions } from "./client-options.js";

interface VerifyReport {
  partition: string;
  events: number;
  bytes?: number;
  ok: boolean;
  damage?: string;
}

/** One partition's line, as the documentation shows it. */
export function verifyRow({ partition, events, ok, damage }: VerifyReport): string[] {
  return [`partition ${partition}`, `${grouped(events)} events`, ok ? "ok" : `DAMAGED: ${damage ?? "unknown"}`];
}

async function verify(terminal: Terminal, directory: string | undefined, flags: GlobalOptions): Promise<number> {
  const data = directory ?? loadFor(terminal, flags).text("server.data") ?? "weft";
  await access(join(data, "topics")).catch((cause: unknown) => {
    throw new WeftError(
      "WEFT_INVALID_ARGUMENT",
      `${data} is not a data directory: there is no ${join(data, "topics")}`,
      {
        cause,
        next: "give the directory that the server was started with",
      },
    );
  });
  const reports: VerifyReport[] = [];
  await native().logVerify(data, (json) => {
    reports.push(JSON.parse(json) as VerifyReport);
  });
  if (terminal.json) for (const report of reports) await terminal.writeJson(report);
  else await terminal.write(columns(reports.map(verifyRow)));
  if (reports.length === 0) terminal.say(`there are no partitions under ${data}`);
  const damaged = reports.filter(({ ok }) => !ok).length;
  if (damaged > 0) terminal.say(`${grouped(damaged)} of ${grouped(reports.length)} partitions are damaged`);
  return damaged > 0 ? EXIT.damaged : EXIT.ok;
}

async function explainConfig(terminal: Terminal, flags: GlobalOptions): Promise<number> {
  const configuration = loadFor(terminal, flags);
  if (terminal.json) {
    const { files, topics, plan } = configuration;
    await terminal.writeJson({ files, settings: explain(configuration), topics, plan });
  } else {
    await terminal.write(explainText(configuration));
  }
  return EXIT.ok;
}

async function eachSlot(
  terminal: Terminal,
  flags: ClientOptions,
  op: string,
): Promise<{ slot: number; reply?: Record<string, unknown>; error?: string }[]> {
  const timeoutMs = clientConfiguration(terminal, flags).number("client.timeoutMs");
  await using job = await openJob(terminal, flags, "weftline-status");
  const slots = Array.from({ length: job.serverCount }, (_, slot) => slot);
  return await Promise.all(
    slots.map(async (slot) => {
      try {
        return { slot, reply: await job.control(slot, { op }, { timeoutMs }) };
      } catch (error) {
        return { slot, error: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
}

async function status(terminal: Terminal, flags: ClientOptions): Promise<number> {
  const slots = await eachSlot(terminal, flags, "status");
  if (terminal.json) {
    for (const { slot, reply, error } of slots)
      await terminal.writeJson(reply ?? { slot, state: "unavailable", error });
  } else {
    const rows = slots.map(({ slot, reply, error }) => {
      if (!reply) return [`slot ${slot}`, "unavailable", error ?? ""];
      const text = (name: string): string => String(reply[name]);
      return [
        `slot ${slot}`,
        text("state"),
        `epoch ${text("slotEpoch")}`,
        `${text("partitions")} partitions`,
        `${text("sessions")} sessions`,
        `pid ${text("pid")} on ${text("host")}`,
        `data ${text("data")}`,
      ];
    });
    await terminal.write(columns(rows));
  }
  return slots.every(({ error }) => error === undefined) ? EXIT.ok : EXIT.failed;
}

async function stop(terminal: Terminal, flags: ClientOptions): Promise<number> {
  const slots = await eachSlot(terminal, flags, "server.stop");
  if (terminal.json)
    for (const { slot, error } of slots) await terminal.writeJson({ slot, draining: error === undefined });
  for (const { slot, error } of slots)
    terminal.say(error === undefined ? `slot ${slot} drains` : `slot ${slot}: ${error}`);
  return slots.every(({ error }) => error === undefined) ? EXIT.ok : EXIT.failed;
}

export function addInspect(program: Command, terminal: Terminal, done: (exitCode: number) => void): void {
  program
    .command("log")
    .summary("look inside stored data")
    .description("Stored data, without a server.")
    .command("verify [directory]")
    .description("Reads every stored byte of a data directory and checks it. Needs no server and changes nothing.")
    .addHelpText("after", "\nExamples:\n  weftline log verify ./weft\n\nThe exit status is 4 if something is damaged.")
    .action(async (directory: string | undefined, _options: unknown, command: Command) => {
      done(await verify(terminal, directory, command.optsWithGlobals<GlobalOptions>()));
    });
  program
    .command("config")
    .summary("explain the configuration")
    .description("The configuration.")
    .command("explain")
    .description("Shows each setting's value, where it comes from, its unit and what it means.")
    .addHelpText("after", "\nExamples:\n  weftline config explain\n  WEFTLINE_THREADS=8 weftline config explain --json")
    .action(async (_options: unknown, command: Command) => {
      done(await explainConfig(terminal, command.optsWithGlobals<GlobalOptions>()));
    });
  addClientOptions(program.command("status").description("Shows the server slots of a job."))
    .addHelpText("after", "\nExamples:\n  weftline status --group /scratch/me/weft/group")
    .action(async (_options: unknown, command: Command) => {
      done(await status(terminal, command.optsWithGlobals<ClientOptions>()));
    });
  addClientOptions(program.command("stop").description("Drains and ends the server slots of a job."))
    .addHelpText("after", "\nExamples:\n  weftline stop")
    .action(async (_options: unknown, command: Command) => {
      done(await stop(terminal, command.optsWithGlobals<ClientOptions>()));
    });
}
