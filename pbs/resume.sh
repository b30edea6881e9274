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
# EDIT: seconds until the warning; PBS gives none, so it must be less than walltime by what drain and copy take
WARN_AFTER=${WARN_AFTER:-480}
# EDIT: the number up to which it counts
export COUNT_TO=${COUNT_TO:-100000}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
: "${RESUME_FROM:?set RESUME_FROM to the folder that the earlier job staged out to}"
export RESUME_FROM
exec timeout --foreground --preserve-status --signal=USR1 "$WARN_AFTER" \
  weftline launch --plan "$WEFTLINE_HOME/launch/plans/resume.yaml"
