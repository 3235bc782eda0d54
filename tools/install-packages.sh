#!/bin/sh
# Packages of the distribution that only tests and benchmarks need; missing ones are told and not fatal, as whoever needs
# one says so. Debian starts servers as services at installation unless a policy says no.
#   sh tools/install-packages.sh PURPOSE PACKAGE...
set -eu
purpose=$1
shift
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing $* from the distribution ..." >&2
  policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && made=$policy; }
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null; } ||
    echo "could not install $*" >&2
  [ -z "${made:-}" ] || rm -f "$made"
else
  echo "for $purpose, install: $*" >&2
fi
