"""The machine's name, and what this process may use of it: CPUs and memory, or less where a control group says so.

A container is a control group, and every group above its own limits it too, so the least of the whole path counts. Both
versions are read, side by side as systemd's hybrid mode has them: where a controller lies says ``/proc/self/cgroup``,
and where that is mounted ``/proc/self/mountinfo`` (cgroups(7), proc(5)). CPU sets need no reading: the kernel has taken
them into account in the process's affinity.
"""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path("/")
_V2: Final = "cgroup2"
_V1: Final = "cgroup"
MAX_HOST_NAME: Final = 64


def host_name() -> str:
    """This machine's name, as records name it: 1 to ``MAX_HOST_NAME`` visible ASCII characters."""
    return re.sub(r"[^!-~]", "_", socket.gethostname())[:MAX_HOST_NAME] or "localhost"


def cpus(root: Path = ROOT) -> int:
    """CPUs this process may use: its affinity, or a quota where that is less; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota_v2(group) for group in _groups(root, "cpu", _V2)]
    quotas += [_quota_v1(group) for group in _groups(root, "cpu", _V1)]
    return max(1, min([count, *(quota for quota in quotas if quota is not None)]))


def memory_bytes(root: Path = ROOT) -> int:
    """Memory this process may use in bytes: the machine's, or a limit where that is less."""
    limits = [_number(group / "memory.max") for group in _groups(root, "memory", _V2)]
    limits += [_number(group / "memory.limit_in_bytes") for group in _groups(root, "memory", _V1)]
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for limit in limits if limit is not None and limit > 0)])


def _quota_v2(group: Path) -> int | None:
    quota, _, period = _text(group / "cpu.max").partition(" ")
    return _whole_cpus(quota, period)


def _quota_v1(group: Path) -> int | None:
    return _whole_cpus(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _whole_cpus(quota_us: str, period_us: str) -> int | None:
    """A group with 1.5 CPUs gets two. None: no quota (``max``, or -1)."""
    if not quota_us.isdigit() or not period_us.isdigit() or not int(period_us):
        return None
    return -(-int(quota_us) // int(period_us))


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _groups(root: Path, controller: str, version: str) -> Iterator[Path]:
    """This process's group of a controller, then every group above it that can be seen."""
    own = _own_group(root, controller, version)
    mount = _mount(root, controller, version)
    if own is None or mount is None:
        return
    mounted, point = mount
    try:
        below = PurePosixPath(own).relative_to(mounted)
    except ValueError:  # the group is outside of what is mounted here, as in a container without its own namespace
        below = PurePosixPath()
    folder = root / point.lstrip("/")
    levels = [below, *below.parents] if below.parts else [below]
    for level in levels:
        if ".." not in level.parts:
            yield folder / level


def _own_group(root: Path, controller: str, version: str) -> str | None:
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number == "0" and not controllers) if version == _V2 else controller in controllers.split(","):
            return path
    return None


def _mount(root: Path, controller: str, version: str) -> tuple[str, str] | None:
    """What of the hierarchy is mounted, and where."""
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] != version:
            continue
        if version == _V2 or controller in kind[2].split(","):
            return _unescaped(fields[3]), _unescaped(fields[4])
    return None


def _unescaped(text: str) -> str:
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
