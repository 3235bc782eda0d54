#!/bin/sh
# Debian's Prometheus, for the tests of the dashboard and the alert rules. They are skipped, with the reason, where it is
# missing, so that is told here and is not fatal.
set -eu
# Debian puts neither on everybody's PATH.
PATH="$PATH:/usr/sbin"
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0
sh "$(dirname "$0")/install-packages.sh" "the tests of the dashboard and the alert rules for Prometheus" prometheus
