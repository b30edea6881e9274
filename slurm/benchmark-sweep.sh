#!/bin/bash
# The benchmark on 1, 2 and 4 nodes: an array of jobs, each of which gathers what is there so far into runs/sweep-ARRAY/table.csv.
#   sbatch slurm/benchmark-sweep.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as --account and --partition
#SBATCH --job-name=weftline-benchmark-sweep
#SBATCH --nodes=4
#SBATCH --exclusive
#SBATCH --time=00:20:00
#SBATCH --output=%x-%j.log
#SBATCH --array=0-2
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
# EDIT: how many nodes each job of the array uses
NODE_COUNTS=${NODE_COUNTS:-"1 2 4"}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
read -ra node_counts <<<"$NODE_COUNTS"
export RESULTS=${RESULTS:-$SLURM_SUBMIT_DIR/runs/sweep-${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}}
"$WEFTLINE_HOME/launch/benchmark-sweep.sh" "${node_counts[${SLURM_ARRAY_TASK_ID:-0}]}"
exec "$WEFTLINE_HOME/launch/benchmark-sweep.sh" --gather
