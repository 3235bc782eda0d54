"""Names are synced when folders are made, and digests are those of the whole file."""

import hashlib
import os
from pathlib import Path

import pytest

from llm_metrics_proxy.storage import durable


def test_a_folder_and_all_above_it_are_made_and_their_names_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable.make_folder(tmp_path / "one" / "two")
    assert synced == [tmp_path, tmp_path / "one"]
    durable.make_folder(tmp_path / "one" / "two")
    assert len(synced) == 2
    (tmp_path / "file").write_bytes(b"x")
    durable.sync_file(tmp_path / "file")
    assert synced[2:] == [tmp_path / "file"]


def test_a_digest_reports_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_HASHED_BYTES", 4)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    told: list[tuple[int, int]] = []
    assert (
        durable.sha256_of(path, lambda done, total: told.append((done, total)))
        == hashlib.sha256(b"0123456789").hexdigest()
    )
    assert told == [(4, 10), (8, 10), (10, 10)]
