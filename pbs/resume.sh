#!/bin/bash
# Goes on with what a job of pbs/before-limit.sh has put into $RESUME_FROM.
#   qsub pbs/resume.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as -A and -q
#PBS -N weftline-resume
#PBS -l select=2
#PBS -l place=scatter:excl
#PBS -l walltime=00:10:00
#PBS -j oe
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
: "${RESUME_FROM:?set RESUME_FROM to the folder that the earlier job staged out to}"
export RESUME_FROM COUNT_TO=${COUNT_TO:-100000}
launch_plan resume
