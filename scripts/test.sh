#!/usr/bin/env bash
# Sets up .venv on a fresh machine and runs every check of the project.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh test
PYTHON=.venv/bin/python scripts/check.sh "$@"
