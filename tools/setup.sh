#!/bin/sh
# Set up .venv with offload (editable) and the project's tools. Does nothing when that is done already.
set -eu
cd "$(dirname "$0")/.."

log=build/setup.log
stamp=.venv/setup.stamp
wanted="$PWD $(cat pyproject.toml scripts/offload src/offload/_version.py tools/setup.sh | cksum)"
# An editable install is compiled at its first import, or at every one where PYTHONDONTWRITEBYTECODE is set: a recalled
# command would take half as long again. Only what has changed is compiled.
compile() { .venv/bin/python -m compileall -q src; }
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    compile
    exit 0
fi
mkdir -p build
: >"$log"

say() { echo "setup: $*"; }
fail() {
    echo "setup: $1" >&2
    [ -z "${2-}" ] || echo "  $2" >&2
    exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>>"$log"; }

find_python() { # the first one that can also make a venv with pip in it, else the first one
    first=
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        path=$(command -v "$name") && new_enough "$path" || continue
        if "$path" -c 'import ensurepip, venv' 2>>"$log"; then
            echo "$path"
            return
        fi
        first=${first:-$path}
    done
    echo "$first"
}

# A new environment; each way is tried only when the ones before it are not there.
make_environment() {
    python=$1
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "creating .venv with Python $minor"
    rm -rf .venv
    if "$python" -c 'import ensurepip, venv' 2>>"$log" && "$python" -m venv .venv >>"$log" 2>&1; then
        return
    fi
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python3-venv with apt-get (this Python has no ensurepip)"
        apt-get update -qq >>"$log" 2>&1 || true
        if DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "python$minor-venv" >>"$log" 2>&1 &&
            "$python" -m venv .venv >>"$log" 2>&1; then
            return
        fi
        rm -rf .venv
    fi
    if command -v virtualenv >/dev/null && virtualenv -q -p "$python" .venv >>"$log" 2>&1; then
        return
    fi
    rm -rf .venv
    if command -v uv >/dev/null && uv venv -q --seed -p "$python" .venv >>"$log" 2>&1; then
        return
    fi
    rm -rf .venv
    if "$python" -m venv --without-pip .venv >>"$log" 2>&1 &&
        "$python" -m pip -q --python .venv/bin/python install pip >>"$log" 2>&1; then
        return
    fi
    rm -rf .venv
    fail "this Python ($python) cannot make an environment: its venv module has no ensurepip" \
        "Install the package python$minor-venv (Debian, Ubuntu: apt install python$minor-venv) or virtualenv, and try again."
}

if ! .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >>"$log" 2>&1; then
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed, and none was found on the path" \
        "Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python"
    make_environment "$python"
fi
rm -f "$stamp"
say "installing offload and its tools in .venv (about a minute the first time)"
if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --prefer-binary -e '.[dev,demo]' >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    fail "pip could not install offload (the end of $log is above)" "Is the network there? A proxy or mirror is set with PIP_INDEX_URL."
fi
compile
echo "$wanted" >"$stamp"
say "ready"
