#!/bin/sh
# Debian's zsh, fish and mandoc, for the tests of completion and of the manual page. Does nothing where they are.
set -eu
for program in zsh fish mandoc; do
  command -v $program >/dev/null || sh "$(dirname "$0")/install-packages.sh" "the tests of completion" $program
  command -v $program >/dev/null || exit 1
done
