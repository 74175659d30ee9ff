#!/usr/bin/env bash
# Installs the torch peers into .venv and compares with them live.
#   scripts/parity.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh test,parity
# Their own requirements (torchvision; transformers below 4.52) are not needed here.
.venv/bin/python -m pip install -q --no-deps "lpips==0.1.4" "ltx-video==0.1.2"
.venv/bin/python -m pytest -q -m parity tests/parity "$@"
