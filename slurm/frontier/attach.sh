#!/bin/bash
# slurm/attach.sh on Frontier. Not tried there (docs/sites/frontier.md).
#   sbatch slurm/frontier/attach.sh
# EDIT: the project that pays, how many nodes, for how long
#SBATCH --account=PROJECT
#SBATCH --nodes=2
#SBATCH --time=00:10:00
#SBATCH --job-name=weftline-attach
#SBATCH --constraint=nvme
#SBATCH --network=job_vni,single_node_vni
#SBATCH --output=%x-%j.log
# EDIT: where Weftline was built, with these modules, and Node
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
module load PrgEnv-gnu cray-mpich libfabric
export PATH="$HOME/node-v20/bin:$PATH"
# Nothing below needs to be edited.
export WEFTLINE_SITE=${WEFTLINE_SITE:-frontier}
export STEP="${STEP:-srun --overlap --ntasks=1 --nodes=1 --mpi=none --network=job_vni,single_node_vni}"
# shellcheck disable=SC1091
source "$WEFTLINE_HOME/slurm/attach.sh"
