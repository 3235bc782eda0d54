#!/bin/sh
# What `make bench` compares with: nginx and wrk from the distribution, LiteLLM from its lock. The benchmarks that lack
# a tool say so in the table, so a missing one is told here and is not fatal.
set -eu
cd "$(dirname "$0")/.."
missing=""
for tool in nginx wrk; do
  # Debian puts nginx in /usr/sbin, which is not on everybody's PATH.
  PATH="$PATH:/usr/sbin" command -v "$tool" >/dev/null || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    # Debian starts nginx as a service on port 80 at installation unless this policy says no.
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && made=$policy; }
    # shellcheck disable=SC2086 -- a list of package names
    { apt-get update -qq && apt-get install -y -qq $missing >/dev/null; } || echo "could not install:$missing" >&2
    [ -z "${made:-}" ] || rm -f "$made"
  else
    echo "for the comparisons with them, install:$missing" >&2
  fi
fi
sh tools/install-litellm.sh
