#!/usr/bin/env bash
# Environment, a scene the project makes itself, and the main job on it.
#   scripts/demo.sh [OUT]      OUT is runs/demo by default
set -euo pipefail
cd "$(dirname "$0")/.."
OUT=${1:-runs/demo}
scripts/environment.sh test
mkdir -p "$OUT"
.venv/bin/python scripts/demo_scene.py "$OUT/scene"
.venv/bin/python -m aw_jax.launch.reconstruct --scene="$OUT/scene" --out="$OUT/result" \
  --config=configs/reconstruct_tiny.py
echo
echo "open $OUT/result/report.html; the splat is $OUT/result/splat.ply"
