#!/bin/bash
# mpiexec.sh ARGUMENTS…: the mpiexec that is there, with the options that Weftline's ranks need under its MPI.
#   launch/mpiexec.sh -n 1 weftline serve --data ./weft --until clients-gone : -n 4 ./solver : -n 1 node analysis.js
# Which one: $MPIEXEC, a program; else that of the family in WEFTLINE_MPI (mpich or openmpi); else the mpiexec on PATH.
# Open MPI gets --bind-to none, for a rank has threads and would share one core among them; --oversubscribe, for ranks that
# wait sleep; and, as root only, the two variables without which it refuses. An MPICH needs none.
# Becomes the mpiexec: signals and exit status are its own. Exit 2: there is none, or it is of another MPI.
set -euo pipefail

die() {
  echo "mpiexec.sh: $*" >&2
  exit 2
}

# "openmpi", "mpich" (which Intel MPI and MVAPICH are too) or "".
family_of() {
  case $("$1" --version 2>&1 || true) in
    *OpenRTE* | *"Open MPI"* | *PRRTE*) echo openmpi ;;
    *HYDRA* | *Hydra* | *Intel*MPI*) echo mpich ;;
  esac
}

wanted=${WEFTLINE_MPI:-}
case $wanted in
  mpich | openmpi) ;;
  *) wanted="" ;; # a module, or "none": says nothing about the launcher
esac

if [ -n "${MPIEXEC:-}" ]; then
  candidates=("$MPIEXEC")
elif [ -n "$wanted" ]; then
  candidates=("mpiexec.$wanted" mpiexec)
else
  candidates=(mpiexec mpiexec.mpich mpiexec.openmpi)
fi
looked=""
for candidate in "${candidates[@]}"; do
  program=$(command -v "$candidate") || {
    looked+="; $candidate: not on PATH"
    continue
  }
  family=$(family_of "$program")
  if [ -n "$family" ] && [ "${wanted:-$family}" = "$family" ]; then break; fi
  looked+="; $program: ${family:-neither MPICH nor Open MPI}"
  program=""
done
if [ -z "${program:-}" ]; then
  die "no mpiexec${wanted:+ of $wanted} to launch with (${looked#; }); install one, or name it: MPIEXEC=/path/to/mpiexec"
fi

if [ "$family" = openmpi ]; then
  if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
  set -- --bind-to none --oversubscribe "$@"
fi
exec "$program" "$@"
