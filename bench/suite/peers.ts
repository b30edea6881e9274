/** Peers that are there: their servers started, and the missing ones named with the reason. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { SystemPlan } from "../driver/system.js";
import { KafkaBroker } from "../peers/kafka/broker.js";
import { NatsServer, syncsEachMessage } from "../peers/nats/server.js";

/** Where scripts/lib/peers.mjs puts them: build/peers, from build/ts/bench/suite. */
const installed = fileURLToPath(new URL("../../../peers", import.meta.url));

export interface Peers {
  readonly kafka: KafkaBroker | undefined;
  /** "kafka" and "nats" as ranks see them. */
  readonly plans: SystemPlan[];
  readonly versions: Record<string, string>;
  readonly missing: Record<string, string>;
  /** A server of NATS that syncs each message, if its version can: for `synced`. It is a setting of the whole server. */
  readonly natsSynced: SystemPlan | undefined;
  end(): Promise<void>;
}

function recordedMissing(): Record<string, string> {
  const file = path.join(installed, "missing.json");
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Record<string, string>) : {};
}

/** `wanted`: of kafka, nats; `address`: a broker of Kafka's protocol that runs already, in place of our own. */
export async function startPeers(
  wanted: ReadonlySet<string>,
  directory: string,
  address: string | undefined,
): Promise<Peers> {
  const missing: Record<string, string> = {};
  const recorded = recordedMissing();
  const versions: Record<string, string> = {};
  const plans: SystemPlan[] = [];
  let kafka: KafkaBroker | undefined;
  const natsServers: NatsServer[] = [];
  let natsSynced: SystemPlan | undefined;
  const attempt = async (name: string, start: () => Promise<void>): Promise<void> => {
    if (!wanted.has(name)) return;
    try {
      if (recorded[name] !== undefined) throw new Error(recorded[name]);
      await start();
    } catch (error) {
      missing[name] = (error as Error).message;
    }
  };
  await attempt("kafka", async () => {
    if (address === undefined) {
      kafka = await KafkaBroker.start(path.join(installed, "kafka", "broker"), path.join(directory, "kafka"));
      versions["kafka"] = kafka.version;
    } else versions["kafka"] = `the broker at ${address}`;
    if (recorded["kafka-node"] === undefined) {
      const client = path.join(installed, "kafka", "node");
      plans.push({ name: "kafka", address: address ?? kafka?.address, serverPid: kafka?.pid, client });
    } else missing["kafka/node"] = recorded["kafka-node"];
  });
  await attempt("nats", async () => {
    const client = path.join(installed, "nats", "node");
    const start = async (folder: string, isSynced: boolean): Promise<SystemPlan> => {
      const server = await NatsServer.start(path.join(directory, folder), isSynced);
      natsServers.push(server);
      versions["nats"] = server.version;
      return { name: "nats", address: server.address, serverPid: server.pid, client };
    };
    plans.push(await start("nats", false));
    if (syncsEachMessage(versions["nats"] ?? "")) natsSynced = await start("nats-synced", true);
  });
  return {
    ...{ kafka, plans, versions, missing, natsSynced },
    end: async () => {
      await kafka?.end();
      await Promise.all(natsServers.map((server) => server.end()));
    },
  };
}
