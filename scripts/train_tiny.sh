#!/usr/bin/env bash
# All stages of the shipped model `ltx_tiny`, in order. Every one resumes where it stopped.
#   scripts/train_tiny.sh [SCENES [PROCESSES]]      256 scenes in 2 processes by default
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
SCENES=${1:-256}
PROCESSES=${2:-2}
RUNS=runs/tiny

makers=()
for ((i = 0; i < PROCESSES; i++)); do
  "$PYTHON" -m aw_jax.launch.simulate --scenes="procedural:0:$SCENES" \
    --share="$i/$PROCESSES" --out="$RUNS/simulate" &
  makers+=($!)
done
for maker in "${makers[@]}"; do wait "$maker"; done
train() { "$PYTHON" -m aw_jax.launch.train --config="configs/ltx_tiny/$1.py" --out="$RUNS/$1"; }

train codec # before clips are labelled: no heatmap is among its components
"$PYTHON" -m aw_jax.launch.label --data="$RUNS/simulate/clips" --shards=17 --every=11 \
  --out="$RUNS/label"
for stage in ridge base predictor restorer; do train "$stage"; done
