#!/bin/bash
# A service inside the job of an MPI simulation, and an analysis that attaches to it.
#   qsub pbs/simulation.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as -A and -q
#PBS -N weftline-simulation
#PBS -l select=2
#PBS -l place=scatter:excl
#PBS -l walltime=00:10:00
#PBS -j oe
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
launch_plan simulation
