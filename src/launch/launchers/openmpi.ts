// mpiexec of Open MPI. Every rank has threads, which --bind-to none lets use all cores; ranks that wait sleep, so there may
// be more of them than cores; as root it wants to be told twice. It passes on only variables that it is told of, which is
// why they stand before each command.

import { segments } from "./hydra.js";
import { hostCounts, type LauncherKind } from "./launcher.js";

const LABELLED = /^\[\d+,(\d+)\]<std(?:out|err)>:? ?(.*)$/;

export function openmpi(mpiexec: string): LauncherKind {
  return {
    name: "Open MPI's mpiexec",
    order: "node",
    command: (request) => {
      const { site, options, label, beside, userId } = request;
      const { flags } = site;
      const hosts = hostCounts(request);
      const words = [
        ...(flags?.bind ?? ["--bind-to", "none"]),
        ...(flags?.oversubscribe ?? ["--oversubscribe"]),
        ...(label ? ["--tag-output"] : []),
        ...(request.map.nodes.length > 1
          ? ["--host", hosts.map(({ host, count }) => `${host}:${count}`).join(","), "--map-by", "slot"]
          : []),
        ...((beside ? flags?.attach : flags?.world) ?? []),
        ...(flags?.mpi?.openmpi ?? []),
        ...options,
      ];
      const asRoot = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
      return {
        program: mpiexec,
        argv: [...words, ...segments(request)],
        environment: userId === 0 ? asRoot : {},
        files: [],
        labelled: LABELLED,
      };
    },
  };
}
