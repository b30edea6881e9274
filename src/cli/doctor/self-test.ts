// Real bytes through each transport that opens here, between this process and a child of its own: messages there and back,
// reads and writes of the other's memory, each compared by checksum. The child answers by itself until its input ends,
// and so ends with this process however that ends.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { asError, WeftError } from "../../errors.js";
import type { NativeBinding, ProbeHandle } from "../../native/binding.js";
import type { Terminal } from "../terminal.js";
import { bad, type Finding, note, ok } from "./finding.js";
import { type Measurement, measurementText } from "./native-report.js";

/** All that there are; one that does not open is left out, `checkNetwork` says why. */
const TRANSPORTS = ["shm", "tcp", "cxi", "verbs", "libfabric-shm"];
const OWN_COMMAND = fileURLToPath(new URL("../main.js", import.meta.url));
const MEASURE_TIMEOUT_MS = 30_000;
const CHILD_START_TIMEOUT_MS = 30_000;
const CHILD_END_TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;

/** By transport: the probe's address in base64. */
type Addresses = Readonly<Record<string, string>>;

/** The child's half: says where its probes are, and answers until the input ends. */
export async function answer(
  terminal: Terminal,
  binding: NativeBinding,
  transports: string,
  bind?: string,
): Promise<void> {
  const probes: ProbeHandle[] = [];
  const addresses: Record<string, string> = {};
  for (const transport of transports.split(",")) {
    try {
      const probe = await binding.probeOpen({ transports: transport, bindAddress: bind });
      probes.push(probe);
      addresses[transport] = Buffer.from(binding.probeAddress(probe)).toString("base64");
    } catch {
      // The parent finds that it is missing.
    }
  }
  await terminal.writeJson(addresses);
  const { input } = terminal.streams;
  await new Promise<void>((resolve) => {
    input.on("end", resolve).on("error", resolve).resume();
  });
  for (const probe of probes) binding.probeClose(probe);
}

type Child = ChildProcessByStdio<Writable, Readable, null>;

async function startChild(
  transports: readonly string[],
  bind?: string,
): Promise<{ child: Child; addresses: Addresses }> {
  const flags = ["doctor", "--answer", transports.join(","), ...(bind === undefined ? [] : ["--bind", bind])];
  const child = spawn(process.execPath, [OWN_COMMAND, ...flags], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.on("error", () => undefined); // of a child that ended
  const line = await new Promise<string>((resolve, reject) => {
    let text = "";
    const fail = (why: string): void => {
      child.kill("SIGKILL");
      reject(new WeftError("WEFT_INTERNAL", `the child process for the self-test ${why}`));
    };
    const timer = setTimeout(() => fail(`said nothing within ${CHILD_START_TIMEOUT_MS} ms`), CHILD_START_TIMEOUT_MS);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES_MAX) fail("said more than it should");
      if (!text.includes("\n")) return;
      clearTimeout(timer);
      resolve(text);
    });
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      fail(`ended with ${code ?? signal}`);
    });
  });
  return { child, addresses: JSON.parse(line) as Addresses };
}

async function endChild(child: Child): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), CHILD_END_TIMEOUT_MS);
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.stdin.end();
  await ended;
  clearTimeout(timer);
}

/** Measures against a probe elsewhere. */
export async function measure(binding: NativeBinding, probe: ProbeHandle, address: Uint8Array): Promise<Measurement> {
  return JSON.parse(await binding.probeMeasure(probe, address, MEASURE_TIMEOUT_MS)) as Measurement;
}

export interface SelfTest {
  readonly transport: string;
  readonly measured?: Measurement;
  readonly error?: string;
}

async function testOne(
  binding: NativeBinding,
  transport: string,
  addresses: Addresses,
  bind?: string,
): Promise<SelfTest> {
  const address = addresses[transport];
  if (address === undefined) return { transport, error: "a child process could not open it" };
  let probe: ProbeHandle | undefined;
  try {
    probe = await binding.probeOpen({ transports: transport, bindAddress: bind });
    return { transport, measured: await measure(binding, probe, Buffer.from(address, "base64")) };
  } catch (error) {
    return { transport, error: asError(error).message };
  } finally {
    if (probe !== undefined) binding.probeClose(probe);
  }
}

/** `wanted`: the transports that are configured; undefined: all that open here. */
async function tests(binding: NativeBinding, wanted: string | undefined, bind?: string): Promise<SelfTest[]> {
  const asked = wanted?.split(",").filter((name) => name !== "" && name !== "inprocess" && name !== "network");
  const transports = asked === undefined || asked.length === 0 ? TRANSPORTS : asked;
  const { child, addresses } = await startChild(transports, bind);
  try {
    const found: SelfTest[] = [];
    for (const transport of transports) {
      if (asked === undefined && addresses[transport] === undefined) continue;
      found.push(await testOne(binding, transport, addresses, bind));
    }
    return found;
  } finally {
    await endChild(child);
  }
}

function findingOf({ transport, measured, error }: SelfTest): Finding {
  const area = `self-test ${transport}`;
  if (measured !== undefined) return ok(area, measurementText(measured));
  const text = error ?? "failed";
  // Between these two, the network takes its place.
  if (transport === "shm")
    return note(area, text, "look at ptrace_scope above; processes of this host use the network");
  if (transport === "libfabric-shm") return note(area, text, "nothing uses it unless it is named");
  return bad(area, text, "leave it out of --transports, or look at the network card, its driver and the firewall");
}

export async function runSelfTest(
  binding: NativeBinding,
  wanted: string | undefined,
  bind?: string,
): Promise<{ findings: Finding[]; selfTest: SelfTest[] }> {
  try {
    const selfTest = await tests(binding, wanted, bind);
    const none = bad("self-test", "no transport could be opened", "look at the transports above");
    return { findings: selfTest.length === 0 ? [none] : selfTest.map(findingOf), selfTest };
  } catch (error) {
    return { findings: [bad("self-test", asError(error).message, "look at the limits above")], selfTest: [] };
  }
}
