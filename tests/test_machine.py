"""What control groups leave of the machine, in both versions and at every level."""

import os
from pathlib import Path
from typing import Final

import pytest

from llm_metrics_proxy.machine import cpus, memory_bytes

MIB: Final = 1024 * 1024
AFFINITY: Final = len(os.sched_getaffinity(0))
MACHINE_BYTES: Final = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
V2_MOUNT: Final = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU_MOUNT: Final = "33 23 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY_MOUNT: Final = "34 23 0:29 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"
V1_OTHER_MOUNT: Final = "35 23 0:30 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd"


def machine(folder: Path, own: list[str], mounts: list[str], files: dict[str, str]) -> Path:
    """A root with those lines in ``/proc/self`` and those files below ``/sys/fs/cgroup``."""
    proc = folder / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text("".join(f"{line}\n" for line in own))
    (proc / "mountinfo").write_text("".join(f"{line}\n" for line in ["22 1 8:1 / / rw - ext4 /dev/sda1 rw", *mounts]))
    for name, text in files.items():
        file = folder / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return folder


def at_most(limit: int) -> int:
    return min(limit, AFFINITY)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "100000"}, 1),
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "-1"}, 9999),
        ({"cpu,cpuacct/docker/cpu.cfs_quota_us": "50000"}, 1),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "100000"}, 1),
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "110000"}, 2),
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "900000", "cpu,cpuacct/docker/cpu.cfs_quota_us": "100000"}, 1),
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "garbage"}, 9999),
        ({"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": ""}, 9999),
        ({}, 9999),
    ],
)
def test_quotas_of_version_1(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    periods = {f"cpu,cpuacct{level}/cpu.cfs_period_us": "100000" for level in ("", "/docker", "/docker/abc")}
    own = ["12:memory:/elsewhere", "4:cpu,cpuacct:/docker/abc", "1:name=systemd:/docker/abc"]
    root = machine(tmp_path, own, [V1_OTHER_MOUNT, V1_CPU_MOUNT.format(root="/")], {**periods, **files})
    assert cpus(root) == at_most(limit)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"a.slice/b.scope/cpu.max": "100000 100000"}, 1),
        ({"a.slice/b.scope/cpu.max": "max 100000"}, 9999),
        ({"a.slice/b.scope/cpu.max": "max 100000", "a.slice/cpu.max": "150000 100000"}, 2),
        ({"a.slice/b.scope/cpu.max": "300000 100000", "a.slice/cpu.max": "50000 100000"}, 1),
        ({"a.slice/b.scope/cpu.max": "100000 0"}, 9999),
        ({"a.slice/b.scope/cpu.max": "1 x"}, 9999),
        ({"a.slice/c.scope/cpu.max": "50000 100000"}, 9999),  # somebody else's
    ],
)
def test_quotas_of_version_2_the_least_of_the_path_counts(tmp_path: Path, files: dict[str, str], limit: int) -> None:
    root = machine(tmp_path, ["0::/a.slice/b.scope"], [V2_MOUNT.format(root="/")], files)
    assert cpus(root) == at_most(limit)


def test_what_is_mounted_is_the_containers_own_group(tmp_path: Path) -> None:
    """As in Docker without a namespace for control groups: the path is the host's, the mount is below it."""
    root = machine(
        tmp_path,
        ["4:cpu,cpuacct:/docker/abc", "3:memory:/docker/abc/nested"],
        [V1_CPU_MOUNT.format(root="/docker/abc"), V1_MEMORY_MOUNT.format(root="/docker/abc")],
        {
            "cpu,cpuacct/cpu.cfs_quota_us": "100000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": str(300 * MIB),
            "memory/nested/memory.limit_in_bytes": str(200 * MIB),
        },
    )
    assert cpus(root) == 1
    assert memory_bytes(root) == 200 * MIB


@pytest.mark.parametrize("path", ["/elsewhere", "/../../abc"])
def test_a_group_outside_of_what_is_mounted_counts_by_the_mount(tmp_path: Path, path: str) -> None:
    mount = V2_MOUNT.format(root="/kubepods/pod1")
    root = machine(tmp_path, [f"0::{path}"], [mount], {"memory.max": str(100 * MIB), "cpu.max": "100000 100000"})
    assert (cpus(root), memory_bytes(root)) == (1, 100 * MIB)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a/b/memory.max": str(64 * MIB)}, 64 * MIB),
        ({"a/b/memory.max": "max", "a/memory.max": str(32 * MIB)}, 32 * MIB),
        ({"a/b/memory.max": "max"}, MACHINE_BYTES),
        ({"a/b/memory.max": str(2**60)}, MACHINE_BYTES),
        ({"a/b/memory.max": "0"}, MACHINE_BYTES),
        ({}, MACHINE_BYTES),
    ],
)
def test_memory_of_version_2(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    root = machine(tmp_path, ["0::/a/b"], [V2_MOUNT.format(root="/")], files)
    assert memory_bytes(root) == expected


def test_memory_of_version_1_without_a_limit_is_the_machines(tmp_path: Path) -> None:
    files = {"memory/a/memory.limit_in_bytes": "9223372036854771712", "memory/memory.limit_in_bytes": "-1"}
    root = machine(tmp_path, ["3:memory:/a"], [V1_MEMORY_MOUNT.format(root="/")], files)
    assert memory_bytes(root) == MACHINE_BYTES


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """systemd's hybrid mode: version 2 has no controllers there."""
    root = machine(
        tmp_path,
        ["4:cpu,cpuacct:/user", "0::/user"],
        [V1_CPU_MOUNT.format(root="/"), "40 23 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"],
        {"cpu,cpuacct/user/cpu.cfs_quota_us": "70000", "cpu,cpuacct/user/cpu.cfs_period_us": "100000"},
    )
    assert cpus(root) == 1


def test_a_mount_with_a_space_in_its_name(tmp_path: Path) -> None:
    mount = V2_MOUNT.format(root="/").replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040groups")
    root = machine(tmp_path, ["0::/"], [mount], {"my groups/cpu.max": "100000 100000"})
    assert cpus(root) == 1


def test_a_system_without_control_groups(tmp_path: Path) -> None:
    assert (cpus(tmp_path), memory_bytes(tmp_path)) == (AFFINITY, MACHINE_BYTES)


def test_the_real_machine_is_read() -> None:
    assert 1 <= cpus() <= AFFINITY
    assert MIB < memory_bytes() <= MACHINE_BYTES
