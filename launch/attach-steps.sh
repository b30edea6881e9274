#!/bin/bash
# attach-steps.sh STEP…: a service on the nodes of this job, and two steps beside it that attach: one stores lines, one reads
# them. STEP… is how the site starts one process beside others, such as: srun --overlap --ntasks=1 --nodes=1 --mpi=none
# On Slingshot steps can talk only with the job's network, which its options ask for. Sourced job.sh first.
set -euo pipefail
(($# > 0)) || {
  echo "attach-steps.sh: no command that starts a step" >&2
  exit 2
}
job=${SLURM_JOB_ID:-${PBS_JOBID:-local}}
: "${SHARED:=${SLURM_SUBMIT_DIR:-${PBS_O_WORKDIR:-$PWD}}}"
export SHARED WEFTLINE_GROUP=$SHARED/runs/$job/group
weftline launch --plan "$WEFTLINE_HOME/launch/plans/service.yaml" &
service=$!
stop() {
  kill -TERM "$service" 2>/dev/null || true
  wait "$service" || true
}
trap stop EXIT
export WEFTLINE_SERVER_WAIT=60s # the steps wait for the servers by themselves
mkdir -p "$SHARED/runs/$job"
printf '{"mag":4.6}\n{"mag":2.1}\n' >"$SHARED/runs/$job/quakes.ndjson"
"$@" weftline produce quakes --group "$WEFTLINE_GROUP" --file "$SHARED/runs/$job/quakes.ndjson"
"$@" weftline consume quakes --group "$WEFTLINE_GROUP" --until count:2 --metadata-only
trap - EXIT
"$@" weftline stop --group "$WEFTLINE_GROUP"
wait "$service"
