#!/bin/bash
# Runs until it is warned before its time limit (SIGUSR1), drains, and puts what is stored into runs/JOB, verified. The status is
# then 75, or 0 if the program heeded the warning; slurm/resume.sh goes on:
#   sbatch --dependency=afterany:JOB --export=ALL,RESUME_FROM=$PWD/runs/JOB slurm/resume.sh
#   sbatch slurm/before-limit.sh
# EDIT: how many nodes, for how long, and what your site wants besides, such as --account and --partition
#SBATCH --job-name=weftline-before-limit
#SBATCH --nodes=2
#SBATCH --exclusive
#SBATCH --time=00:10:00
#SBATCH --output=%x-%j.log
#SBATCH --signal=B:USR1@120
# EDIT: where Weftline was built; this default is the folder that the job is submitted from
export WEFTLINE_HOME=${WEFTLINE_HOME:-$SLURM_SUBMIT_DIR}
# Nothing below needs to be edited.
# shellcheck source=launch/job.sh disable=SC1091
source "$WEFTLINE_HOME/launch/job.sh"
launch_plan before-limit
