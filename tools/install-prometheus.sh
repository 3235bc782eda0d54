#!/bin/sh
# Debian's Prometheus, for the tests of the dashboard and the alert rules. They are skipped, with the reason, where it is
# missing, so that is told here and is not fatal.
set -eu
# Debian puts neither on everybody's PATH.
PATH="$PATH:/usr/sbin"
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  # Debian starts it as a service at installation unless this policy says no.
  policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && made=$policy; }
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus >/dev/null; } ||
    echo "could not install prometheus" >&2
  [ -z "${made:-}" ] || rm -f "$made"
else
  echo "to test the dashboard and the alert rules too, install prometheus" >&2
fi
