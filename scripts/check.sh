#!/usr/bin/env bash
# Lint, format, types, layers and tests, in the environment this is called from.
#   scripts/check.sh [--slow] [pytest arguments]
# --slow adds the long tests, and compiles programs as users have them: by default the
# tests' programs are compiled quickly instead (tests/conftest.py).
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

marks="not slow and not parity"
if [ "${1:-}" = "--slow" ]; then
  marks="not parity"
  export XLA_FLAGS=${XLA_FLAGS-}
  shift
fi

"$PYTHON" -m ruff format --check .
"$PYTHON" -m ruff check .
"$PYTHON" -m ty check --python "$("$PYTHON" -c 'import sys; print(sys.prefix)')" aw_jax
"$PYTHON" -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "$marks" --durations=15 "$@"
