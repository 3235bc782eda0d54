#!/bin/sh
# llama.cpp's server and the gguf writer in a venv of their own. There are no wheels: a C++ compiler builds it once
# (about 8 minutes on two cores), and pip keeps the built wheel in its cache.
# PYTHON names the interpreter; without it the one of .venv is taken, else python3.
set -eu
cd "$(dirname "$0")/.."
command -v c++ >/dev/null || {
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq g++ >/dev/null
  else
    echo "llama.cpp needs a C++ compiler; install g++ (or clang++) and try again" >&2
    exit 1
  fi
}
exec sh tools/install-locked.sh llama-cpp "llama.cpp (minutes, unless pip has its wheel already)"
