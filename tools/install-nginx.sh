#!/bin/sh
# Debian's nginx, for the tests of the dashboard behind a reverse proxy. Does nothing where there is one.
set -eu
# Debian puts it in /usr/sbin, which is not on everybody's PATH.
PATH="$PATH:/usr/sbin"
command -v nginx >/dev/null || sh "$(dirname "$0")/install-packages.sh" "the tests behind a reverse proxy" nginx
command -v nginx >/dev/null || exit 1
