// Two hosts (network namespaces of this machine). One MPI launch over both: `weftline serve`, the simulation in C and a
// consumer in TypeScript in one world; the server and one rank of the simulation on the first host, the others on the second.
// And clients outside the MPI world, on the other host and beside both.
//
// The end of such a launch is MPICH's: between hosts its MPI_Finalize hangs in some runs and returns in others (docs/mpi.md).
// What is promised is that the time limit ends it, that the error says so, and that nothing of the data is touched by it.
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

import { cliPath, type Running, until, Workplace } from "./support/weftline.js";

const inRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const native = process.env["WEFTLINE_TEST_NATIVE"] ?? inRoot("build/native");
const simulation = `${native}/examples/gray_scott_mpich`;
const programs = process.env["WEFTLINE_TEST_PROGRAMS"] ?? inRoot("build/ts/test/programs");
const there = (program: string): boolean => spawnSync("which", [program]).status === 0;
const possible =
  process.getuid?.() === 0 && ["ip", "nft", "tc", "mpiexec.mpich"].every(there) && existsSync(simulation);

/** Clients in each language that do the same: native/test/languages/carry.c. */
const python = ["/usr/bin/python3", "python3"].find((program) => spawnSync(program, ["-c", ""]).status === 0) ?? "";
const carriers: Readonly<Record<string, readonly string[]>> = {
  c: [`${native}/test/languages/test_carry_c`],
  cpp: [`${native}/test/languages/test_carry_cpp`],
  fortran: [`${native}/test/languages/test_carry_fortran`],
  python: [python, inRoot("test/python/carry.py")],
};
const hasCarriers = python !== "" && Object.values(carriers).every(([program = ""]) => there(program));

let place: Workplace;
beforeEach(() => {
  place = new Workplace();
});
afterEach(async () => {
  if (possible) lab("down"); // with what still runs there
  await place.close();
});

function lab(...argv: string[]): string {
  const env = { ...process.env, LAB_DIR: place.path("lab") };
  const { status, stdout, stderr } = spawnSync(inRoot("test/lab/hosts.sh"), argv, { env, encoding: "utf8" });
  expect(status, `hosts.sh ${argv.join(" ")}: ${stderr}`).toBe(0);
  return stdout.trim();
}

test.skipIf(!possible)("a server, C and TypeScript ranks over two hosts lose nothing", async () => {
  lab("up", "2");
  const addresses = [lab("address", "h1"), lab("address", "h2")];
  writeFileSync(place.path("weftline.yaml"), "topics:\n  field: { partitions: 2 }\n");
  const node = process.execPath;
  const small = ["--shape", "64x48", "--steps", "400", "--every", "10", "--output", "weftline"];
  const launch = place.startProgram(
    inRoot("test/lab/hosts.sh"),
    [
      ...["launch", "ctl", inRoot("launch/mpiexec.sh")],
      ...["-launcher", "ssh", "-launcher-exec", place.path("lab", "launch"), "-localhost", lab("address", "ctl")],
      ...["-hosts", addresses.join(","), "-ppn", "2"],
      ...["-n", "1", node, cliPath, "serve", "--json", "--data", place.path("weft"), "--until", "clients-gone", ":"],
      ...["-n", "2", simulation, ...small, "--report", place.path("pushed"), ":"],
      ...["-n", "1", node, `${programs}/checksums.js`],
    ],
    { env: { WEFTLINE_MPI: "mpich", LAB_DIR: place.path("lab") } },
  );
  const deadline = setTimeout(() => launch.child.kill("SIGTERM"), 90_000);
  const { exitCode, signal, output, words } = await launch.finished;
  clearTimeout(deadline);
  expect(signal, `within 90 s:\n${words}${output.toString()}`).toBeNull();

  const lines = output.toString().split("\n");
  const found = JSON.parse(lines.find((line) => line.startsWith('{"host"')) ?? "{}") as object;
  expect(found, words).toEqual({ host: "h2", blocks: 80, wrong: 0, bytes: 40 * 64 * 48 * 8 });
  const pushed = [0, 1].map(
    (rank) => JSON.parse(readFileSync(place.path(`pushed.${rank}.json`), "utf8")) as { pushed: object[] },
  );
  expect(pushed.map((report) => report.pushed.length)).toEqual([40, 40]);
  expect(words).toContain("the clients are gone");
  const verified = await place.ok(["log", "verify", "weft"]);
  expect(verified.match(/ ok$/gm)).toHaveLength(2);
  expect(verified.match(/\d+(?= events)/g)?.reduce((sum, events) => sum + Number(events), 0)).toBe(82);

  if (exitCode !== 0) {
    expect(words).toContain("WEFT_RANK_LOST: MPI was not finalized");
    const codes = new Set(words.match(/WEFT_[A-Z_]+/g));
    expect([...codes]).toEqual(["WEFT_RANK_LOST"]); // and of nothing else
  }
});

/** A program on a host; the server, which is on h1, is the one of `place`. */
function on(host: string, words: readonly string[], env: Record<string, string> = {}): Running {
  const surroundings = { LAB_DIR: place.path("lab"), WEFTLINE_GROUP: place.path("weft", "group"), ...env };
  return place.startProgram(inRoot("test/lab/hosts.sh"), ["launch", host, ...words], { env: surroundings });
}
const weftline = (...argv: string[]): string[] => [process.execPath, cliPath, ...argv];

async function outputOf(running: Running): Promise<string> {
  const deadline = setTimeout(() => running.child.kill("SIGTERM"), 90_000);
  const { exitCode, output, words } = await running.finished;
  clearTimeout(deadline);
  expect(exitCode, words).toBe(0);
  return output.toString();
}

async function serveOnFirstHost(): Promise<Running> {
  lab("up", "2");
  const server = on("h1", weftline("serve", "--json", "--data", place.path("weft")));
  await until("the server's start", () => {
    if (server.ended) throw new Error(server.words);
    return server.output.toString().includes("\n");
  });
  return server;
}

test.skipIf(!possible)(
  "clients outside the MPI world reach a server on another host by tcp, from a host beside the hosts too",
  async () => {
    const server = await serveOnFirstHost();
    await outputOf(on("h2", weftline("topic", "create", "quakes")));
    const lines = Array.from({ length: 500 }, (_, index) => `{"mag":${index}}\n`).join("");
    writeFileSync(place.path("quakes.ndjson"), lines);
    await outputOf(on("h2", weftline("produce", "quakes", "--file", place.path("quakes.ndjson"))));
    // The namespace that stands for a login node: on the network of the hosts, none of them.
    const consume = weftline("consume", "quakes", "--until", "end", "--metadata-only");
    expect(await outputOf(on("ctl", consume))).toBe(lines);
    const status = JSON.parse(await outputOf(on("ctl", weftline("status", "--json")))) as object;
    expect(status).toMatchObject({ slot: 0, host: "h1" });
    await outputOf(on("h2", weftline("stop")));
    await server.finished;
  },
);

test.skipIf(!possible || !hasCarriers)(
  "clients in C, C++, Fortran and Python attach from other hosts, and read each other's bytes",
  async () => {
    const server = await serveOnFirstHost();
    const parts = 25;
    const bytes = randomBytes(parts * 40_000);
    writeFileSync(place.path("sent"), bytes);
    const python = { PYTHONPATH: inRoot("python"), PYTHONDONTWRITEBYTECODE: "1" };
    const env = { ...python, WEFTLINE_LIBRARY: `${native}/library/libweftline.so` };
    // Who pushes may use nothing else; who pulls finds by itself that there is nothing else.
    const overTcp = { ...env, WEFTLINE_TRANSPORTS: "tcp" };
    const languages = Object.entries(carriers);
    for (const [language] of languages) await outputOf(on("ctl", weftline("topic", "create", language)));
    await Promise.all(
      languages.map(([language, words], index) => {
        const host = index % 2 === 0 ? "h2" : "ctl";
        return outputOf(on(host, [...words, "push", language, place.path("sent")], overTcp));
      }),
    );
    const metadata = Array.from({ length: parts }, (_, part) => part);
    const readAll = async ([reader, words]: [string, readonly string[]], index: number): Promise<void> => {
      const host = index % 2 === 0 ? "ctl" : "h2"; // where it has not pushed
      for (const [writer] of languages) {
        const file = place.path(`${reader}-of-${writer}`);
        const said = await outputOf(on(host, [...words, "pull", writer, file], env));
        const found = said.trimEnd().split("\n");
        const partsFound = found.map((line) => (JSON.parse(line) as { part: number }).part);
        expect(partsFound, `${reader} of ${writer}`).toEqual(metadata);
        expect(readFileSync(file).equals(bytes), `${reader} of ${writer}`).toBe(true);
      }
    };
    await Promise.all(languages.map(readAll));
    await outputOf(on("h2", weftline("stop")));
    await server.finished;
  },
);
