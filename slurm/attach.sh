#!/bin/bash
# A service, and separate steps that attach to it. On Slingshot STEP needs the job's network (slurm/frontier/attach.sh).
#   sbatch slurm/attach.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as --account and --partition
#SBATCH --job-name=weftline-attach
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --time=00:10:00
#SBATCH --output=%x-%j.log
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
read -ra step <<<"${STEP:-srun --overlap --ntasks=1 --nodes=1 --mpi=none}"
exec "$WEFTLINE_HOME/launch/attach-steps.sh" "${step[@]}"
