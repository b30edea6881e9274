// libfabric and its providers, which of them a peer is reached by and why, network cards, Slingshot's VNI.

import { badOf, type Finding, note, ok } from "./finding.js";
import { type Host, readNumber } from "./host.js";
import type { NativeReport, ProviderReport } from "./native-report.js";

const NOT_TAKEN = ": not taken: ";
/** That the fabric takes by itself, and shm for comparison. */
const CHOSEN = /^(cxi|verbs;ofi_rxm|tcp;ofi_rxm|shm)$/;

function providers({ libfabric }: NativeReport): Finding[] {
  if (libfabric.error !== undefined) {
    return [badOf("libfabric", libfabric.error, "install it (Debian: libfabric1), or load the site's module")];
  }
  const all = libfabric.providers ?? [];
  const names = (wanted: readonly ProviderReport[]): string => wanted.map(({ name }) => name).join(", ");
  const used = all.filter(({ name, usable }) => usable && CHOSEN.test(name));
  const others = all.filter((one) => one.usable && !used.includes(one));
  const rest = all.filter(({ usable }) => !usable);
  return [
    ok("libfabric", `${libfabric.version}, ${libfabric.path}`),
    ...used.map(({ name, domains }) => ok("provider", `${name}: messages and RMA, on ${domains.join(", ")}`)),
    ...(others.length > 0 ? [ok("provider", `only by name: ${names(others)}`)] : []),
    ...(rest.length > 0 ? [ok("provider", `without messages and RMA: ${names(rest)}`)] : []),
  ];
}

/** "no cxi: no such card here" of "cxi: not taken: cxi: looking for the provider: No data available (…)". */
export function whyNot(line: string): string {
  const [name = "", reason = ""] = line.split(NOT_TAKEN);
  const why = reason.replace(`${name}: `, "");
  return `no ${name}: ${/No data available/.test(why) ? "no such card here" : why}`;
}

/** Which transport a peer of each kind is reached by. */
function peers({ transports, transportsError }: NativeReport): Finding[] {
  if (transportsError !== undefined) {
    return [
      badOf("transports", transportsError, "allow others in --transports, WEFTLINE_TRANSPORTS or network.transports"),
    ];
  }
  const nameOf = (line: string): string => line.slice(0, line.indexOf(":"));
  const taken = transports.filter((line) => !line.includes(NOT_TAKEN));
  const refused = transports.filter((line) => line.includes(NOT_TAKEN));
  const local = taken.filter((line) => /^(inprocess|shm|libfabric-shm):/.test(line));
  const network = taken.filter((line) => !local.includes(line));
  const because = refused.map(whyNot).join(", ");
  const sameHost = [...local.filter((line) => !line.startsWith("inprocess")), ...network].map(nameOf);
  return [
    ok(
      "peers",
      `same process: ${[...local.filter((line) => line.startsWith("inprocess")), ...network].map(nameOf)[0] ?? "none"}`,
    ),
    sameHost.length > 0
      ? ok("peers", `same host and user: ${sameHost[0]}${sameHost.length > 1 ? `, else ${sameHost[1]}` : ""}`)
      : note("peers", "same host: none", "allow shm or tcp"),
    network.length > 0
      ? ok("peers", `other hosts: ${network[0]}${because === "" ? "" : `; ${because}`}`)
      : note(
          "peers",
          `other hosts: none${because === "" ? "" : `; ${because}`}`,
          "allow tcp, if there are other hosts",
        ),
  ];
}

function cards(host: Host): Finding[] {
  const found: Finding[] = [];
  const where = (folder: string): string => {
    const node = readNumber(host, `${folder}/device/numa_node`);
    return node === undefined || node < 0 ? "" : `, NUMA node ${node}`;
  };
  for (const name of host.list("/sys/class/net").filter((each) => each !== "lo")) {
    const folder = `/sys/class/net/${name}`;
    const state = host.read(`${folder}/operstate`) ?? "unknown";
    if (state === "down") continue;
    const speed = readNumber(host, `${folder}/speed`);
    const rate = speed === undefined || speed <= 0 ? "" : `, ${speed / 1000} Gb/s`;
    found.push(ok("nic", `${name}: ${state}${rate}${where(folder)}`));
  }
  for (const kind of ["cxi", "infiniband"]) {
    for (const name of host.list(`/sys/class/${kind}`)) {
      found.push(ok("nic", `${name} (${kind})${where(`/sys/class/${kind}/${name}`)}`));
    }
  }
  return found.length > 0 ? found : [note("nic", "none but lo: no other host can be reached")];
}

function slingshot({ slingshot: found }: NativeReport): Finding[] {
  const area = "slingshot";
  if (found.error !== undefined) return [badOf(area, found.error, "start through the launcher")];
  if (found.devices.length === 0) return [];
  const reason = found.reason ?? "";
  return [
    found.reachesJob === true ? ok(area, reason) : note(area, `${reason}; other steps cannot be reached`, found.advice),
  ];
}

export function checkNetwork(host: Host, native: NativeReport): Finding[] {
  return [...providers(native), ...peers(native), ...cards(host), ...slingshot(native)];
}
