#!/bin/sh
# Run a step of a set-up quietly: one line when it is done, with its seconds; all that it said if it failed.
#   sh tools/step.sh "what it does" COMMAND...
set -u
what=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
begin=$(date +%s)
"$@" >"$log" 2>&1 || {
  code=$?
  cat "$log" >&2
  echo "failed: $what" >&2
  exit $code
}
echo "  $what ($(($(date +%s) - begin)) s)"
