#!/bin/bash
# The benchmark on 1, 2 and 4 nodes: an array of jobs, each of which gathers what is there so far into runs/sweep-ARRAY/table.csv.
#   qsub pbs/benchmark-sweep.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as -A and -q
#PBS -N weftline-benchmark-sweep
#PBS -l select=4
#PBS -l place=scatter:excl
#PBS -l walltime=00:20:00
#PBS -j oe
#PBS -J 0-2
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$PBS_O_WORKDIR}
# EDIT: how many nodes each job of the array uses
NODE_COUNTS=${NODE_COUNTS:-"1 2 4"}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
read -ra node_counts <<<"$NODE_COUNTS"
export RESULTS=${RESULTS:-$PBS_O_WORKDIR/runs/sweep-${PBS_ARRAY_ID:-${PBS_JOBID%%[*}}}
"$WEFTLINE_HOME/launch/benchmark-sweep.sh" "${node_counts[${PBS_ARRAY_INDEX:-0}]}"
exec "$WEFTLINE_HOME/launch/benchmark-sweep.sh" --gather
