#!/bin/sh
# LiteLLM's proxy, for the tests against it and for the benchmarks.
exec sh "$(dirname "$0")/install-locked.sh" litellm "LiteLLM's proxy (about 700 MB, a minute or two)"
