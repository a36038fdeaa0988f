#!/bin/sh
# Writes the locks from pyproject.toml: of development, of the service alone, and of what builds its wheel.
# UV=/path/to/uv chooses the uv.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-$(command -v uv || echo .uv/bin/uv)}"
lock() {
    "$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-emit-index-url --no-annotate \
        --no-header "$@"
}
lock --extra dev pyproject.toml -o requirements.lock
lock --constraint requirements.lock pyproject.toml -o requirements-runtime.lock
sed -n 's/^requires = \["\(hatchling==[^"]*\)"\]$/\1/p' pyproject.toml |
    lock --constraint requirements.lock - -o scripts/build.lock
