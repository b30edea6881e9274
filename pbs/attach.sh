#!/bin/bash
# A service, and separate processes that attach to it. On Slingshot STEP needs the job's network (pbs/polaris/attach.sh).
#   qsub pbs/attach.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as -A and -q
#PBS -N weftline-attach
#PBS -l select=2
#PBS -l place=scatter:excl
#PBS -l walltime=00:10:00
#PBS -j oe
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
read -ra step <<<"${STEP:-env}"
exec "$WEFTLINE_HOME/launch/attach-steps.sh" "${step[@]}"
