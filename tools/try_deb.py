"""The Debian package on a bare Debian: installed by `dpkg -i`, run as its unit says, upgraded, removed, purged.

    python -m tools.try_deb dist/llm-metrics-proxy_….deb --suite trixie

Needs root, `mmdebstrap` and Debian's packages; the system is made in a folder of /tmp and goes again. What systemd
would do is done by hand: the unit's command, as its user, without capabilities, on a file system that only its data
folder can be written in. `systemd-analyze` judges the unit itself.
"""

import argparse
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.child_processes import child
from tests.waiting import wait_until

from tools.first_chart import Addresses, announced, first_chart
from tools.make_deb import NAME

MOST_EXPOSURE: Final = 3.0
STOP_S: Final = 10.0
_LOOKUPS: Final = "ca-certificates,python3,systemd-standalone-sysusers,systemd-standalone-tmpfiles"
_CONFIG: Final = Path("etc") / NAME / "config.toml"
_STATE: Final = Path("var/lib") / NAME
_UNIT: Final = Path("usr/lib/systemd/system") / f"{NAME}.service"


def say(text: str) -> None:
    """One line of what was shown, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def in_root(root: Path, *command: str) -> str:
    """What a command says in the system; it must end well."""
    enter = ["unshare", "--mount", "sh", "-euc", 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"', str(root)]
    done = subprocess.run([*enter, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def install(root: Path, deb: Path) -> None:
    """Copy it in, `dpkg -i`."""
    shutil.copyfile(deb, root / "tmp" / "it.deb")
    in_root(root, "dpkg", "-i", "/tmp/it.deb")  # noqa: S108 -- in the new system


def exposure(root: Path, unit: Path) -> float:
    """How much of the system the unit can reach, as systemd counts it: 0 nothing, 10 all."""
    file = root / unit
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+) ", said)
    assert found, said
    return float(found[1])


def service(root: Path) -> list[str]:
    """The unit's command in a mount namespace of its own, in which only what the unit says can be written."""
    text = (root / _UNIT).read_text(encoding="utf-8")
    words = re.search(r"(?m)^ExecStart=(.*)$", text)
    user = re.search(r"(?m)^User=(.*)$", text)
    assert words is not None
    assert user is not None
    command = shlex.split(words[1].replace("%S", "/var/lib"))
    mounts = (
        f'mount --bind "{root}" "{root}" && mount --bind "{root / _STATE}" "{root / _STATE}"'
        f' && mount -o remount,ro,bind "{root}" && mount -t proc proc "{root}/proc"'
        f' && mount -t tmpfs tmpfs "{root}/tmp" && exec "$@"'  # noqa: S108 -- in that system
    )
    locked = [
        "setpriv",
        f"--reuid={user[1]}",
        f"--regid={user[1]}",
        "--init-groups",
        "--bounding-set=-all",
        "--no-new-privs",
    ]
    ports = ["--backend", "demo", "--port", "0", "--metrics-port", "0", "--no-demo-traffic"]
    return ["unshare", "--mount", "sh", "-euc", mounts, "sh", "chroot", str(root), *locked, *command, *ports]


def run_service(root: Path, folder: Path, began: float) -> None:
    """Start, first chart, stop."""
    log = folder / "serve.log"
    with child(service(root), log, stop_s=STOP_S) as process:
        found: list[Addresses] = []

        def there() -> bool:
            found[:] = [each for each in (announced(log),) if each]
            return bool(found)

        wait_until(there, "the start block", process=process, log=log)
        first_chart(found[0], log)
        say(f"first chart {time.monotonic() - began:.1f} s after dpkg -i began")
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"(?m)^NoNewPrivs:\t1$", status)
        assert re.search(r"(?m)^CapBnd:\t0+$", status)
        stopping = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0, log.read_text()
        say(f"stopped within {time.monotonic() - stopping:.1f} s")
    said = in_root(root, "setpriv", f"--reuid={NAME}", f"--regid={NAME}", "--init-groups", "llmmp", "requests",
                   "--data-dir", f"/{_STATE}", "--json")  # fmt: skip
    assert "demo-small" in said
    in_root(root, "llmmp", "export", "--data-dir", f"/{_STATE}", "--output", "/root/records.parquet")
    assert (root / "root/records.parquet").read_bytes()[:4] == b"PAR1"
    say("its record is there for the verbs, and written as Parquet")


def walk(root: Path, deb: Path, folder: Path) -> None:
    """From installing to purging."""
    began = time.monotonic()
    install(root, deb)
    say(f"dpkg -i: {time.monotonic() - began:.1f} s; {in_root(root, 'llm-metrics-proxy', 'version').splitlines()[0]}")
    state, secrets = (root / _STATE).stat(), (root / _CONFIG).with_name("environment").stat()
    assert in_root(root, "id", "-u", NAME).strip() == str(state.st_uid) != "0"
    assert (state.st_mode & 0o777, secrets.st_mode & 0o777, secrets.st_uid) == (0o700, 0o600, 0)
    level = exposure(root, _UNIT)
    assert level < MOST_EXPOSURE, level
    say(f"systemd-analyze security: {level}")
    run_service(root, folder, began)

    config = root / _CONFIG
    config.write_text(config.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    install(root, deb)
    assert config.read_text(encoding="utf-8").endswith("# ours\n")
    say("installed again: the settings stay")
    in_root(root, "dpkg", "--remove", NAME)
    assert config.exists()
    assert not (root / "usr/lib" / NAME).exists()
    in_root(root, "dpkg", "--purge", NAME)
    assert not config.parent.exists()
    assert (root / _STATE / "metrics.db").exists()
    say("removed and purged: nothing is left but the records")


def main() -> None:
    """Try one package; the exit code is 0 if all of it held."""
    parser = argparse.ArgumentParser(description="Install, run, upgrade and remove a Debian package on a bare Debian.")
    parser.add_argument("deb", type=Path)
    parser.add_argument("--suite", default="trixie", help="bookworm has Python 3.11, trixie 3.13")
    parser.add_argument("--root", type=Path, help="a bare system with what the package needs, instead of a new one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llmmp-deb-") as scratch:
        folder = Path(scratch)
        root = given.root or folder / "root"
        if given.root is None:
            folder.chmod(0o755)  # the service's user passes through it
            began = time.monotonic()
            subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_LOOKUPS}", given.suite, root], check=True
            )
            say(f"a bare {given.suite}: {time.monotonic() - began:.0f} s")
        walk(root, given.deb, folder)


if __name__ == "__main__":
    main()
