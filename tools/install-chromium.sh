#!/bin/sh
# Chromium for the tests of the dashboard, from the distribution: they drive it by its path, and download none of their
# own. Does nothing where there is one; CHROMIUM names another.
set -eu
for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
  [ -n "$name" ] && command -v "$name" >/dev/null && exit 0
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing chromium from the distribution ..." >&2
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
  echo "the tests of the dashboard need Chromium: install the package chromium, or name one by CHROMIUM" >&2
  exit 1
fi
