#!/bin/bash
# pbs/produce-consume.sh on Polaris. Not tried there (docs/sites/polaris.md).
#   qsub pbs/polaris/produce-consume.sh
# EDIT: the project that pays, the queue, how many nodes, for how long, the file systems
#PBS -A PROJECT
#PBS -q debug
#PBS -l select=2:system=polaris
#PBS -l place=scatter
#PBS -l walltime=00:10:00
#PBS -l filesystems=home:eagle
#PBS -N weftline-produce-consume
#PBS -j oe
# EDIT: where Weftline was built, with these modules, the project's folder, and Node
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
module load PrgEnv-gnu cray-mpich
export PATH="$HOME/node-v20/bin:$PATH"
export SHARED=${SHARED:-$PBS_O_WORKDIR} # of the nodes: a folder on eagle
# Nothing below needs to be edited.
export WEFTLINE_SITE=${WEFTLINE_SITE:-polaris}
# shellcheck disable=SC1091
source "$WEFTLINE_HOME/pbs/produce-consume.sh"
