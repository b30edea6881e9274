#!/bin/bash
# run_ranks.sh OK_RANKS any|zero COMMAND...: runs an mpiexec and wants "rank R: ok" from OK_RANKS ranks.
# zero: the launcher's exit status must be 0 too; any: a launcher may complain about ranks that left without finalizing.
# Every @TMP@ in the command becomes a fresh folder. Bounded by itself, so that a hung launcher is named.
set -u
ok_ranks=$1 status_wanted=$2
shift 2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# The tests may themselves run inside a job: its launcher's variables are not ours.
for name in $(compgen -e | grep -E '^(PMI_|PMIX_|PALS_|SLURM_|OMPI_COMM_|HYDI_|MPI_LOCALN)'); do unset "$name"; done
timeout -k 5 60 "${@//@TMP@/$folder}" >"$folder/out" 2>&1
status=$?
cat "$folder/out"
found=$(grep -c '^rank [0-9]*: ok' "$folder/out")
if [ "$found" -ne "$ok_ranks" ]; then
  echo "run_ranks: $found ranks said ok, $ok_ranks were wanted (exit status $status of: $*)"
  exit 1
fi
if [ "$status_wanted" = zero ] && [ "$status" -ne 0 ]; then
  echo "run_ranks: exit status $status of: $*"
  exit 1
fi
