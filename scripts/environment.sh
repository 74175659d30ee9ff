#!/usr/bin/env bash
# Makes or updates the virtual environment .venv with the given extras.
#   scripts/environment.sh EXTRA[,EXTRA]
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v python3.11 >/dev/null && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: Python 3.11 or newer is needed: apt-get install python3.11 python3.11-venv" >&2
  exit 2
fi
PYTHON=$(command -v python3.11 || command -v python3)
if [ ! -x .venv/bin/python ]; then
  "$PYTHON" -m venv .venv || {
    echo "error: no venv module: apt-get install python3.11-venv" >&2
    exit 2
  }
fi
command -v g++ >/dev/null || command -v clang++ >/dev/null ||
  echo "hint: no C++ compiler; rendering is about five times faster after apt-get install g++" >&2
.venv/bin/python -m pip install -q --upgrade pip
.venv/bin/python -m pip install -q -e ".[$1]"
.venv/bin/python -m pip install -q --no-deps "stlpips_pytorch==0.0.2"
