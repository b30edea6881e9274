#!/bin/bash
# A producer of four ranks and a consumer, with a server on each node, in one MPI launch.
#   sbatch slurm/produce-consume.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as --account and --partition
#SBATCH --job-name=weftline-produce-consume
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --time=00:10:00
#SBATCH --output=%x-%j.log
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
launch_plan produce-consume
