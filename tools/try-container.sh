#!/bin/sh
# The Dockerfile, built and run without any registry: its base is made by mmdebstrap from Debian's packages, as the image
# of the same name is, and a container of it runs as its user on a read-only file system, without capabilities.
#   sh tools/try-container.sh PYTHON     as root; needs mmdebstrap, buildah, podman and runc of Debian
#     STORAGE names a folder that is kept, so that another try finds its layers
#     BASE_TAR names a base that was made before; SSL_CERT_FILE, what to trust for Python's packages
# shellcheck disable=SC2086
set -eu
python=$1
cd "$(dirname "$0")/.."
scratch=$(mktemp -d /tmp/llmmp-container.XXXXXX)
image=localhost/llm-metrics-proxy:try
name=llmmp-try-$$
kept=${STORAGE:-$scratch}
storage="--root $kept/storage --runroot $kept/run --storage-driver overlay"
podman() { command podman $storage --runtime runc --cgroup-manager cgroupfs "$@"; }
clean() {
  podman rm --force --time 0 $name >/dev/null 2>&1 || :
  umount "$kept"/storage/overlay/*/merged "$kept/storage/overlay" 2>/dev/null || :
  rm -rf "$scratch"
}
trap clean EXIT
say() { echo "$*"; }
since() { echo $(($(date +%s) - $1)); }

began=$(date +%s)
if [ -n "${BASE_TAR:-}" ]; then
  cp "$BASE_TAR" "$scratch/base.tar"
else
  # Without manuals and translations, as the image of that name.
  mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$scratch/base.tar"
fi
podman import --quiet "$scratch/base.tar" localhost/debian:trixie-slim >/dev/null
rm "$scratch/base.tar"
say "a base of Debian's packages: $(since "$began") s"

began=$(date +%s)
buildah $storage build --quiet --layers --isolation chroot --pull=never --format docker \
  ${SSL_CERT_FILE:+--secret id=ca,src=$SSL_CERT_FILE} \
  --build-arg BASE=localhost/debian:trixie-slim --tag $image . >/dev/null
say "the image, from this folder: $(since "$began") s, $(podman image inspect --format '{{.Size}}' $image | awk '{printf "%.0f", $1/1e6}') MB"

files=$("$python" -c 'import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[1])') # podman asks for more than this session may have
began=$(date +%s)
# Health checks are run by systemd's timers, which are not here: it is asked by hand below.
podman run --detach --name $name --no-healthcheck --network host --read-only --tmpfs /tmp --cap-drop all \
  --security-opt no-new-privileges --ulimit "nofile=$files:$files" --ulimit nproc=1000:1000 \
  --env LLM_METRICS_PROXY_METRICS_TOKEN=a-token-of-the-proof \
  --env LLM_METRICS_PROXY_PORT=18001 --env LLM_METRICS_PROXY_METRICS_PORT=18002 \
  $image serve --backend demo --no-demo-traffic >/dev/null
PYTHONPATH=src:. "$python" -m tools.first_chart http://127.0.0.1:18001 http://127.0.0.1:18002 \
  || { podman logs $name; exit 1; }
say "first chart: $(since "$began") s after the container was started"

in_it() { podman exec $name "$@"; }
[ "$(in_it id -u)" = 10001 ] && say "it runs as user 10001"
in_it python -c '
import os
fields = dict(line.split(":\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\t" in line)
assert open("/proc/1/cmdline").read().count("llm_metrics_proxy.supervisor") == 1, "PID 1 is another program"
assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, fields["CapBnd"]
assert fields["NoNewPrivs"].strip() == "1"
try:
    open("/opt/llm-metrics-proxy/x", "w")
except OSError as error:
    print("nothing but /data and /tmp can be written:", error.strerror)
else:
    raise SystemExit("the root can be written")
'
in_it sh -c 'llmmp export --output /tmp/x.parquet && [ -s /tmp/x.parquet ]' && say "its records are written as Parquet"
in_it python -I /opt/llm-metrics-proxy/bin/healthcheck 18001 18002 && say "its health check says yes"
in_it python -c '
import os, pathlib, signal, time
def workers():
    found = [path.parent for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"llm_metrics_proxy.proxy" in path.read_bytes()]
    return {int(path.name) for path in found}
before = workers()
os.kill(min(before), signal.SIGKILL)
deadline = time.monotonic() + 30
while len(workers()) < len(before) or min(before) in workers():
    assert time.monotonic() < deadline, "no worker took its place"
    time.sleep(0.1)
states = [path.read_text().split("State:\t")[1][0] for path in pathlib.Path("/proc").glob("[0-9]*/status")]
assert "Z" not in states, "PID 1 leaves dead processes behind"
'
say "a worker was killed: PID 1 has reaped it and started another"
began=$(date +%s)
podman stop --time 10 $name >/dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' $name)
[ "$code" = 0 ] || { podman logs $name; say "it ended with $code"; exit 1; }
say "stopped within $(since "$began") s, exit code 0"
