"""How many files may be open, and how many are."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy import descriptors


@pytest.mark.parametrize(("soft", "hard"), [(64, 512), (256, 256)])
def test_the_hard_limit_is_taken_and_inherited(soft: int, hard: int) -> None:
    program = """
import subprocess, sys
from llm_metrics_proxy import descriptors
descriptors.raise_limit()
child = "from llm_metrics_proxy import descriptors; print(descriptors.limit())"
print(descriptors.limit(), subprocess.check_output([sys.executable, "-c", child], text=True).strip())
"""
    said = subprocess.check_output(
        [sys.executable, "-c", program],
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    assert said.split() == [str(hard), str(hard)]


def test_what_is_open_is_counted(tmp_path: Path) -> None:
    before = descriptors.in_use()
    with (tmp_path / "file").open("w"):
        assert descriptors.in_use() == before + 1
    assert descriptors.in_use() == before


def test_where_nothing_is_listed_it_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_LISTINGS", ("/nowhere",))
    assert descriptors.in_use() > 0


def test_no_limit_is_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: endless)
    assert descriptors.limit() >= 2**20


@pytest.mark.parametrize(
    ("spare", "each", "fewest", "most", "expected"),
    [
        (92, 2, 4, 512, (40, 11)),
        (92, 1, 8, 8, (84, 8)),
        (10_000, 3, 4, 512, (3162, 512)),
        (6, 2, 4, 512, (1, 4)),
        (-5, 2, 4, 512, (-5, 4)),
    ],
)
def test_descriptors_are_shared_between_who_is_served_and_who_is_told(
    spare: int, each: int, fewest: int, most: int, expected: tuple[int, int]
) -> None:
    found = descriptors.places(spare, each, fewest, most)
    assert found == expected
    assert found.served * each + found.refused <= max(spare, 0) or spare < fewest + each


def test_complaints_are_due_every_ten_seconds() -> None:
    complaints = descriptors.Complaints()
    assert [complaints.are_due(now) for now in (0.0, 1.0, 9.9, 10.0, 19.0, 21.0)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("listings", [descriptors._LISTINGS, ("/is/not/there",)], ids=["listed", "no /proc"])
def test_all_are_closed_but_those_that_are_kept(listings: tuple[str, ...]) -> None:
    code = f"""
import os
from llm_metrics_proxy import descriptors
kept, *others = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
descriptors._LISTINGS = {listings!r}
descriptors.close_all_but({{0, 1, 2, kept}})
print([number for number in range(20) if os.path.exists(f"/proc/self/fd/{{number}}")] == [0, 1, 2, kept])
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "True\n"
