#!/bin/sh
# Debian and Ubuntu ship python3 without venv; install it when we may, otherwise say what to install.
set -eu
version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && apt-get install -y -qq "python$version-venv" >/dev/null
else
  echo "python$version has no venv module; install the package python$version-venv and try again" >&2
  exit 1
fi
