"""The key of api_key_id: made once, whole, and private."""

import threading
from pathlib import Path

import pytest

from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.processes.secret_file import SECRET_BYTES, ensure


def test_it_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert ensure(path) is None
    first = path.read_bytes()
    assert ensure(path) is None
    assert path.read_bytes() == first
    assert len(set(first)) > 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_installations_have_two_secrets(tmp_path: Path) -> None:
    ensure(tmp_path / "a")
    ensure(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_secret_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    ensure(path)
    path.chmod(0o640)
    warning = ensure(path)
    assert warning is not None
    assert f"{path} has mode 640" in warning


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_secret_of_another_length_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(LlmMetricsProxyError, match=f"has {len(content)} bytes instead of {SECRET_BYTES}"):
        ensure(path)
    assert path.read_bytes() == content


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LlmMetricsProxyError, match="Is a directory; it must be readable and ours"):
        ensure(tmp_path)


def test_starting_at_the_same_time_leaves_one_whole_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    pids = iter(range(1, 100))
    monkeypatch.setattr("os.getpid", lambda: next(pids))  # threads stand in for processes
    seen: list[bytes] = []

    def begin() -> None:
        ensure(path)
        seen.append(path.read_bytes())

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
