#!/bin/bash
# job.sh: what the job scripts of slurm/ and pbs/ have in common; they source it. Puts `weftline` on PATH, stays in the
# folder that the job was submitted from, and settles which MPI the programs were built with.
set -euo pipefail
if [ ! -f "${WEFTLINE_HOME:?set WEFTLINE_HOME to the folder of Weftline}/launch/weftline" ]; then
  echo "job.sh: WEFTLINE_HOME is '$WEFTLINE_HOME', where there is no Weftline; submit from its folder, or set it" >&2
  exit 2
fi
export WEFTLINE_HOME WEFTLINE_MPI=${WEFTLINE_MPI:-mpich}
export PATH="$WEFTLINE_HOME/launch:$PATH"
cd "${SLURM_SUBMIT_DIR:-${PBS_O_WORKDIR:-.}}"

# A plan of launch/plans, as the job itself: signals and exit status are those of the launch.
launch_plan() {
  exec weftline launch --plan "$WEFTLINE_HOME/launch/plans/$1.yaml" "${@:2}"
}
