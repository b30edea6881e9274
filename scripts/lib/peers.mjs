// What Weftline is measured beside, fetched into build/peers and nowhere else: Apache Kafka's broker, its tools and its
// client for Node, the client of NATS. A peer that cannot be had stops nothing: build/peers/missing.json says why, and
// the benchmarks name it as missing.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findProgram } from "./command.mjs";
import { inRoot } from "./paths.mjs";
import { StepFailure } from "./steps.mjs";
import { systemPackagesStep } from "./system-packages.mjs";

const peersFolder = inRoot("build", "peers");
const missingFile = path.join(peersFolder, "missing.json");

/** What a folder of build/peers was made from, and by which Node. */
export function stampOfPeer(sources, nodeVersion) {
  const hash = createHash("sha256");
  for (const source of sources) hash.update(source).update("\0");
  return `${hash.digest("hex")} node ${nodeVersion.split(".")[0]}\n`;
}

/** Makes `folder` anew from `files` of `source` with `make`, unless its stamp says that it is there. */
async function makeOnce(step, folder, source, files, make) {
  const stampFile = path.join(folder, ".stamp");
  const stamp = stampOfPeer(
    files.map((name) => readFileSync(path.join(source, name))),
    process.versions.node,
  );
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) {
    step.note = "there";
    return;
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const name of files) copyFileSync(path.join(source, name), path.join(folder, name));
  await make();
  writeFileSync(stampFile, stamp);
}

function needProgram(name, packages) {
  if (findProgram(name) === undefined) throw new StepFailure(`${name} is not there`, `install ${packages}`);
}

const kafkaStep = {
  name: "peer kafka",
  run: async (step) => {
    needProgram("java", "default-jre-headless");
    needProgram("mvn", "maven");
    const folder = path.join(peersFolder, "kafka", "broker");
    await makeOnce(step, folder, inRoot("bench", "peers", "kafka"), ["pom.xml"], () =>
      step.run(
        "mvn",
        ["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"],
        { cwd: folder, timeoutS: 600, next: "look at maven's message above; usually the network or its settings" },
      ),
    );
  },
};

/**
 * librdkafka is built from the source that the client brings, with the libraries of the system: its own way would fetch
 * theirs. It is configured first, since a parallel make of the module starts before its configuration has ended.
 */
const kafkaNodeStep = {
  name: "peer kafka-node",
  run: async (step) => {
    const folder = path.join(peersFolder, "kafka", "node");
    const files = ["package.json", "package-lock.json"];
    await makeOnce(step, folder, inRoot("bench", "peers", "kafka"), files, async () => {
      await step.run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder, timeoutS: 300 });
      const cwd = path.join(folder, "node_modules", "@confluentinc", "kafka-javascript");
      const env = { CKJS_LINKING: "dynamic", JOBS: "2", MAKEFLAGS: "-j2" };
      await step.run(process.execPath, ["util/configure.js"], { cwd, env });
      await step.run("npx", ["--no-install", "node-pre-gyp", "install", "--build-from-source"], {
        ...{ cwd, env, timeoutS: 900 },
        next: "the first error above is the one to look at; it needs the headers of OpenSSL, zlib and curl",
      });
    });
  },
};

const natsStep = {
  name: "peer nats",
  run: async (step) => {
    const folder = path.join(peersFolder, "nats", "node");
    const files = ["package.json", "package-lock.json"];
    await makeOnce(step, folder, inRoot("bench", "peers", "nats"), files, () =>
      step.run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: folder, timeoutS: 300 }),
    );
    if (findProgram("nats-server", `${process.env.PATH}:/usr/sbin`) === undefined) {
      throw new StepFailure("nats-server is not there", "install nats-server");
    }
  },
};

const forgiving = (step) => ({
  ...step,
  stops: false,
  next: step.next ?? "the benchmarks go on without this peer, and name it as missing",
});

/** Steps for the systems of those names. They may fail: record them with `recordMissingPeers`. */
export function peerStepsOf(systems) {
  const steps = [];
  if (systems.some((name) => name.startsWith("kafka"))) steps.push(kafkaStep);
  if (systems.includes("kafka")) steps.push(kafkaNodeStep);
  if (systems.includes("nats")) steps.push(natsStep);
  if (steps.length > 0) steps.unshift({ ...systemPackagesStep("peers"), name: "packages of peers" });
  return steps.map(forgiving);
}

/** Writes which peers are missing, and why, for the program that runs next. */
export function recordMissingPeers(results) {
  const missing = {};
  for (const { name, ok, reason } of results) {
    if (!ok && name.startsWith("peer ")) missing[name.slice("peer ".length)] = reason;
  }
  mkdirSync(peersFolder, { recursive: true });
  writeFileSync(missingFile, `${JSON.stringify(missing, null, 2)}\n`);
}
