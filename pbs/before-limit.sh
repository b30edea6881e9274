#!/bin/bash
# Runs until shortly before its time limit, drains, and puts what is stored into runs/JOB, verified. The status is then 75, or 0
# if the program heeded the warning; pbs/resume.sh goes on:
#   qsub -W depend=afterany:JOB -v RESUME_FROM=$PWD/runs/JOB pbs/resume.sh
#   qsub pbs/before-limit.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as -A and -q
#PBS -N weftline-before-limit
#PBS -l select=2
#PBS -l place=scatter:excl
#PBS -l walltime=00:10:00
#PBS -j oe
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
# EDIT: seconds until the warning; PBS gives none, so it must be less than walltime by what drain and copy take
WARN_AFTER=${WARN_AFTER:-480}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
exec timeout --foreground --preserve-status --signal=USR1 "$WARN_AFTER" \
  weftline launch --plan "$WEFTLINE_HOME/launch/plans/before-limit.yaml"
