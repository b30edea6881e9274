#!/bin/bash
# Goes on with what a job of slurm/before-limit.sh has put into $RESUME_FROM.
#   sbatch slurm/resume.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as --account and --partition
#SBATCH --job-name=weftline-resume
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --time=00:10:00
#SBATCH --output=%x-%j.log
#SBATCH --signal=B:USR1@120
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
# EDIT: the number up to which it counts
export COUNT_TO=${COUNT_TO:-100000}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
: "${RESUME_FROM:?set RESUME_FROM to the folder that the earlier job staged out to}"
export RESUME_FROM
launch_plan resume
