#!/bin/sh
# What a lock has, in a venv of its own, so that its pins never meet ours. Does nothing when the lock has not changed.
#   sh tools/install-locked.sh NAME WORDS...      requirements-NAME.lock into .venv-NAME; WORDS tell a person what
# PYTHON names the interpreter; without it the one of .venv is taken, else python3.
# A lock is whole, so nothing is to be resolved (--no-deps): where a package asks for an extra (pydantic[email]), pip
# looks for the newest release instead of the pinned one, and then refuses it for want of a hash.
set -eu
cd "$(dirname "$0")/.."
name=$1
shift
lock=requirements-$name.lock
venv=.venv-$name
[ ! $lock -nt $venv/.installed ] && [ -e $venv/.installed ] && exit 0
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
echo "installing $* into $venv ..." >&2
"$python" -m venv --clear $venv
$venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $lock
touch $venv/.installed
