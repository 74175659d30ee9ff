#!/usr/bin/env bash
# Installs the torch peers into .venv and compares with them live.
#   scripts/parity.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh test,parity
.venv/bin/python -m pip install -q --no-deps "lpips==0.1.4"
.venv/bin/python -m pytest -q -m parity tests/parity "$@"
