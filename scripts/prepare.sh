#!/bin/sh
# Makes .venv and installs what requirements.lock pins, hashes checked; does nothing when that is already so.
# Needs uv, or any Python 3 to bring it with. PYTHON=/path/to/python3.12 chooses the interpreter.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
fitting() { "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

# What the environment was made from: another lock, interpreter wish or place (it holds absolute paths) means again.
wanted="$(cat requirements.lock pyproject.toml scripts/prepare.sh | cksum) ${PYTHON:-} $(pwd)"
stamp=.venv/.prepared
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && fitting .venv/bin/python; then exit 0; fi

bring_uv() {
    if command -v uv >/dev/null 2>&1; then command -v uv; return; fi
    if [ -x .uv/bin/uv ]; then echo .uv/bin/uv; return; fi
    say "agenthost: bringing uv into .uv"
    for python in ${PYTHON:+"$PYTHON"} python3 python; do
        "$python" -c 'import sys; sys.exit(sys.version_info[0] < 3)' 2>/dev/null || continue
        rm -rf .uv
        if "$python" -m venv .uv >/dev/null 2>&1; then
            .uv/bin/python -m pip install -q --require-hashes -r scripts/uv.lock >&2 && echo .uv/bin/uv && return
        fi
        rm -rf .uv
        if "$python" -m pip --version >/dev/null 2>&1; then
            "$python" -m pip install -q --require-hashes --target .uv -r scripts/uv.lock >&2 && echo .uv/bin/uv && return
        fi
    done
    say "agenthost: needs uv, or a Python 3 with venv or pip. Install one: on Debian and Ubuntu, apt-get install python3-venv"
    return 1
}

# The first interpreter that really runs: a shim of pyenv is there for each version, but fails for those not chosen.
find_python() {
    for python in python3.12 python3.13 python3 python \
        "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[23]*/bin/python "${HOME:-}"/.pyenv/versions/3.1[23]*/bin/python; do
        if fitting "$python"; then "$python" -c 'import sys; print(sys.executable)'; return; fi
    done
    echo '>=3.12,<3.14' # uv looks further, and downloads one where it may
}

uv="$(bring_uv)"
if [ -n "${PYTHON:-}" ]; then
    fitting "$PYTHON" || { say "agenthost: PYTHON=$PYTHON is not Python 3.12 or 3.13"; exit 1; }
    same='import sys; print(sys.version_info[:3], sys.base_prefix)'
    [ "$(.venv/bin/python -c "$same" 2>/dev/null)" = "$("$PYTHON" -c "$same")" ] || rm -rf .venv
fi
if ! fitting .venv/bin/python || ! grep -qF "$(pwd)/.venv" .venv/bin/activate; then
    python="${PYTHON:-$(find_python)}"
    say "agenthost: making .venv with Python $python"
    rm -rf .venv
    "$uv" venv --quiet --python "$python" .venv
fi
say "agenthost: installing the locked dependencies"
export VIRTUAL_ENV="$(pwd)/.venv"
"$uv" pip sync --quiet --require-hashes requirements.lock
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s\n' "$wanted" >"$stamp"
