#!/usr/bin/env bash
# All stages of the shipped model `ltx_tiny`, in order. Every one resumes where it stopped.
#   scripts/train_tiny.sh [SCENES]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
SCENES=${1:-96}
RUNS=runs/tiny

"$PYTHON" -m aw_jax.launch.simulate --scenes="procedural:0:$SCENES" --out="$RUNS/simulate"
"$PYTHON" -m aw_jax.launch.label --data="$RUNS/simulate/clips" --out="$RUNS/label"
for stage in codec base predictor restorer; do
  "$PYTHON" -m aw_jax.launch.train --config="configs/ltx_tiny/$stage.py" --out="$RUNS/$stage"
done
