#!/usr/bin/env bash
# Purpose:  a search on Slurm: Ray on every node of the job, the search on the first one
# Command:  sbatch configs/cluster/slurm.sh --data /shared/photos --results /shared/results
# Change:   the lines with #SBATCH, the environment below. All options go to the search; a job that
#           was ended by its time limit continues with: sbatch ... --resume NAME --results ...
#SBATCH --job-name=hierclf
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
set -euo pipefail

# shellcheck disable=SC1091
source "${HIERCLF_ENV:-.venv}/bin/activate"   # on storage that all nodes share

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes%%$'\n'*}
# Jobs of several users may share a node: a port of the job's own, and a token to join its cluster.
port=$((20000 + SLURM_JOB_ID % 10000))
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token

srun --kill-on-bad-exit=1 ray symmetric-run \
    --address "$head:$port" \
    --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" \
    --num-gpus "${SLURM_GPUS_ON_NODE:-0}" \
    -- python -m search.tune --address "$head:$port" "$@"
