#!/bin/sh
# LiteLLM's proxy in a venv of its own, so that its pins never meet ours. Does nothing when the lock has not changed.
# PYTHON names the interpreter; without it the one of .venv is taken, else python3.
set -eu
cd "$(dirname "$0")/.."
lock=requirements-litellm.lock
venv=.venv-litellm
[ ! $lock -nt $venv/.installed ] && [ -e $venv/.installed ] && exit 0
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
echo "installing LiteLLM's proxy into $venv (about 700 MB, a minute or two) ..." >&2
"$python" -m venv --clear $venv
$venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $lock
touch $venv/.installed
