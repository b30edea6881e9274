/** One Kafka broker in KRaft mode on this host, with folders and ports of its own. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import { PeerProcess, freePort } from "../process.js";

const messageBytesMax = 300 * 1024 * 1024;
/** Of the broker: large enough for a few of the largest messages; the log itself is in the page cache. */
const heap = "2g";
/** As Kafka's own start script has them. */
const collector = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"];

export class KafkaBroker {
  readonly #process: PeerProcess;
  readonly address: string;
  /** Of Kafka's jars. */
  readonly classPath: string;
  readonly version: string;

  private constructor(process: PeerProcess, address: string, classPath: string, version: string) {
    this.#process = process;
    this.address = address;
    this.classPath = classPath;
    this.version = version;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** `installed`: the folder with Kafka's `lib`; `directory`: for its files. */
  static async start(installed: string, directory: string): Promise<KafkaBroker> {
    const classPath = path.join(installed, "lib", "*");
    const [port, controllerPort] = [await freePort(), await freePort()];
    mkdirSync(directory, { recursive: true });
    const file = path.join(directory, "server.properties");
    writeFileSync(file, propertiesOf(port, controllerPort, path.join(directory, "data")));
    const format = ["-cp", classPath, "kafka.tools.StorageTool", "format"];
    const { status, stderr, stdout } = spawnSync(
      "java",
      [...format, "--config", file, "--cluster-id", "d2VmdGxpbmUtYmVuY2gtMQ"],
      { encoding: "utf8", timeout: 60_000 },
    );
    if (status !== 0) throw new Error(`Kafka's storage could not be formatted: ${stderr || stdout}`);
    const broker = new PeerProcess("the Kafka broker", "java", [
      ...[`-Xmx${heap}`, `-Xms${heap}`, ...collector, "-cp", classPath, "kafka.Kafka", file],
    ]);
    try {
      await broker.listening(port);
    } catch (error) {
      await broker.end();
      throw error;
    }
    return new KafkaBroker(broker, `127.0.0.1:${port}`, classPath, versionOf(installed));
  }

  async end(): Promise<void> {
    await this.#process.end();
  }
}

function propertiesOf(port: number, controllerPort: number, data: string): string {
  return [
    "process.roles=broker,controller",
    "node.id=1",
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    "controller.listener.names=CONTROLLER",
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    `log.dirs=${data}`,
    // One broker: nothing is replicated
    "offsets.topic.replication.factor=1",
    "offsets.topic.num.partitions=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
    "group.initial.rebalance.delay.ms=0",
    "auto.create.topics.enable=false",
    // Large messages are allowed
    `message.max.bytes=${messageBytesMax}`,
    `replica.fetch.max.bytes=${messageBytesMax}`,
    `socket.request.max.bytes=${2 * messageBytesMax}`,
    "socket.send.buffer.bytes=-1",
    "socket.receive.buffer.bytes=-1",
    "num.network.threads=3",
    "num.io.threads=8",
    "log.retention.hours=-1",
    "",
  ].join("\n");
}

function versionOf(installed: string): string {
  const jars = readdirSync(path.join(installed, "lib"));
  return /kafka-clients-([\d.]+)\.jar/.exec(jars.join(" "))?.[1] ?? "unknown";
}
