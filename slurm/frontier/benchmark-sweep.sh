#!/bin/bash
# slurm/benchmark-sweep.sh on Frontier. Not tried there (docs/sites/frontier.md).
#   sbatch slurm/frontier/benchmark-sweep.sh
# EDIT: the project that pays, how many nodes, for how long
#SBATCH --account=PROJECT
#SBATCH --nodes=4
#SBATCH --time=00:20:00
#SBATCH --job-name=weftline-benchmark-sweep
#SBATCH --constraint=nvme
#SBATCH --network=job_vni,single_node_vni
#SBATCH --output=%x-%j.log
#SBATCH --array=0-2
# EDIT: where Weftline was built, with these modules, and Node
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
module load PrgEnv-gnu cray-mpich libfabric
export PATH="$HOME/node-v20/bin:$PATH"
# EDIT: how many nodes each job of the array uses
export NODE_COUNTS=${NODE_COUNTS:-"1 2 4"}
# Nothing below needs to be edited.
export WEFTLINE_SITE=${WEFTLINE_SITE:-frontier}
# shellcheck disable=SC1091
source "$WEFTLINE_HOME/slurm/benchmark-sweep.sh"
