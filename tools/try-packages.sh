#!/bin/sh
# Everything that is installed somewhere, installed on bare systems: `make try-packages`, as root, after `make release`.
#   sh tools/try-packages.sh FOLDER      of the release, such as dist/5.2.0; the newest, if none is named
set -eu
cd "$(dirname "$0")/.."
release=${1:-$(find dist -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort -V | tail -n 1)}
[ -d "$release" ] || { echo "there is no release yet: run make release" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "this makes bare systems, which takes root" >&2; exit 1; }
PATH=$PWD/.venv-release/bin:$PATH
export PATH
(cd "$release" && sha256sum --check --strict --quiet SHA256SUMS)
sh tools/install-packages.sh "trying packages" mmdebstrap buildah podman runc pipx
.venv/bin/python -m tools.try_wheel "$release"/*.whl --python "$PWD/.venv/bin/python"
.venv/bin/python -m tools.try_deb "$release"/*py3.11_amd64.deb --suite bookworm
.venv/bin/python -m tools.try_deb "$release"/*py3.13_amd64.deb --suite trixie
hadolint Dockerfile
sh tools/try-container.sh .venv/bin/python
if command -v "${HELM:-helm}" >/dev/null; then
  .venv-release/bin/python -m tools.try_chart
else
  echo "the chart was not rendered: go install helm.sh/helm/v3/cmd/helm@v3.22.0, and name it by HELM"
fi
