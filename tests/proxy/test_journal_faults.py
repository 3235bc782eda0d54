"""When the journal cannot be written, proxying goes on, and everybody who asks is told."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proxy.client import get, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


def dropped(proxy: ProxyWorker) -> int:
    count: int = proxy.health()["records_dropped"]
    return count


def test_a_disk_that_is_full_costs_records_and_nothing_else(tmp_path: Path, upstream: FakeUpstream) -> None:
    """RLIMIT_FSIZE stands for the full disk: writes beyond it are cut short, then fail (Python ignores SIGXFSZ)."""
    limit = 4000
    with ProxyWorker(tmp_path, upstream.url, journal_segment_bytes=1 << 30) as proxy:
        assert proxy.ask(post()).status == 200
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for _ in range(60):
            assert proxy.ask(post()).status == 200
        health = proxy.health()
        assert health["status"] == "degraded"
        assert any("journal cannot be written" in reason for reason in health["reasons"])
        assert health["workers"][0]["journal_errno"]
        resource.prlimit(proxy.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        wait_until(lambda: proxy.health()["status"] == "ok")
        assert len(proxy.records(61)) == 61  # what waited for the disk is written after all


def test_a_journal_folder_that_is_deleted_is_made_again(tmp_path: Path, upstream: FakeUpstream) -> None:
    with ProxyWorker(tmp_path, upstream.url) as proxy:
        assert proxy.ask(post()).status == 200
        for path in proxy.journal.iterdir():
            path.unlink()
        proxy.journal.rmdir()
        proxy.health()  # measures
        for _ in range(3):
            assert proxy.ask(post()).status == 200
        wait_until(lambda: len(proxy.closed()) == 3)


def test_a_journal_folder_that_cannot_be_made_is_a_health_problem_only(tmp_path: Path, upstream: FakeUpstream) -> None:
    (tmp_path / "file").write_text("in the way")
    with ProxyWorker(tmp_path, upstream.url, journal_dir=str(tmp_path / "file" / "journal")) as proxy:
        for _ in range(3):
            assert proxy.ask(post()).status == 200
        health = proxy.health()
        assert health["status"] == "degraded"
        assert any("Not a directory" in reason for reason in health["reasons"])
        proxy.terminate()
        assert proxy.ended() == 0
        assert "3 records dropped" in proxy.log or "cannot record" in proxy.log


@pytest.mark.parametrize("policy", ["drop_records", "refuse_requests"])
def test_at_the_journals_bound_records_are_dropped_or_requests_refused(
    tmp_path: Path, upstream: FakeUpstream, policy: str
) -> None:
    options = {"journal_max_bytes": 20_000, "journal_segment_bytes": 5_000, "journal_when_full": policy}
    with ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        statuses = [proxy.ask(post()).status for _ in range(80)]
        health = proxy.health()
        assert health["status"] == "degraded"
        assert "the journal has reached journal_max_bytes" in health["reasons"]
        if policy == "drop_records":
            assert set(statuses) == {200}
            assert 0 < dropped(proxy) <= 80 - len(proxy.closed())
        else:
            assert set(statuses) == {200, 503}
            assert statuses == sorted(statuses)
            refused = proxy.ask(post())
            assert (refused.status, refused.error_code) == (503, "saturated")
        assert sum(path.stat().st_size for path in proxy.journal.glob("*.journal")) < 25_000
        for path in proxy.journal.glob("*.journal"):  # the metrics process has caught up
            path.unlink()
        wait_until(lambda: "the journal has reached journal_max_bytes" not in proxy.health()["reasons"])
        assert proxy.ask(post()).status == 200


@pytest.mark.parametrize("fsync", ["always", "never", "interval"])
def test_every_way_to_fsync_records_every_request(tmp_path: Path, upstream: FakeUpstream, fsync: str) -> None:
    with ProxyWorker(tmp_path, upstream.url, journal_fsync=fsync, journal_fsync_interval_s=0.02) as proxy:
        with proxy.connect() as client:
            client.send(post() * 20 + get(b"/v1/models", b"Connection: close"))
            assert [client.answer().status for _ in range(20)] == [200] * 20
            assert client.answer(b"GET").status == 200
            assert client.read_to_end() == b""
        assert len(proxy.records(21)) == 21


def test_a_journal_that_cannot_be_used_at_all_does_not_stop_the_worker_from_starting(
    upstream: FakeUpstream, tmp_path: Path
) -> None:
    with ProxyWorker(tmp_path, upstream.url, journal_dir="/proc/nowhere/journal") as proxy:
        assert proxy.ask(post()).status == 200
        assert proxy.health()["status"] == "degraded"


def test_a_worker_started_by_hand_says_how_it_is_started() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "llm_metrics_proxy.proxy"], input=b"\n", capture_output=True, timeout=20, check=False
    )
    assert run.returncode == 2
    assert b"not by hand" in run.stderr
