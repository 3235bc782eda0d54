#!/bin/sh
# What `make bench` compares with: nginx and wrk from the distribution, LiteLLM from its lock. The benchmarks that lack
# a tool say so in the table, so a missing one is told here and is not fatal.
set -eu
cd "$(dirname "$0")/.."
sh tools/install-nginx.sh || true
command -v wrk >/dev/null || sh tools/install-packages.sh "the benchmarks under load" wrk
sh tools/install-litellm.sh
