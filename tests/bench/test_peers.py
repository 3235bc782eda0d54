"""Each peer is a row that says where it comes from; those that are here forward whole answers and streams."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from bench.figures import Unavailable
from bench.peers import PEERS, nginx
from bench.peers.__main__ import wanted
from bench.peers.peer import Launch, Peer, Site, start
from bench.peers.sources import Source, debian
from bench.rate_client import latencies_us
from bench.stream_client import read_streams

from bench import streamer

QUICK = [peer for peer in PEERS.values() if not peer.is_slow]


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_a_configuration_names_both_ports_and_keeps_to_its_folder(peer: Peer, tmp_path: Path) -> None:
    for streams in (False, True):
        folder = tmp_path / str(streams)
        folder.mkdir()
        arguments, _ = peer.launch(Site(folder, 12345, 23456, streams=streams))
        text = " ".join([*arguments, *(file.read_text() for file in folder.iterdir())])
        assert "12345" in text
        assert "23456" in text
        assert "{{" not in text.replace("}}}}", "")


def test_only_who_would_hold_streams_back_is_told_not_to(tmp_path: Path) -> None:
    nginx.PLAIN.launch(Site(tmp_path, 1, 2, streams=False))
    assert "proxy_buffering" not in (tmp_path / "nginx.conf").read_text()
    nginx.PLAIN.launch(Site(tmp_path, 1, 2, streams=True))
    assert "proxy_buffering off" in (tmp_path / "nginx.conf").read_text()


def test_every_row_says_how_it_is_had_and_what_it_records() -> None:
    for peer in PEERS.values():
        assert peer.records
        assert peer.source.how or peer.source.find()


def test_a_program_without_what_it_needs_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "server").touch(mode=0o755)
    assert Source("server", "how", tmp_path).find() == tmp_path / "server"
    assert Source("server", "how", tmp_path, needs=(tmp_path / "module.so",)).find() is None
    assert Source("other", "how", tmp_path).find() is None


def test_what_is_missing_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    here = PEERS["relay"]
    rows = [
        here,
        here._replace(source=debian("no-such-server", "one", "shared")),
        here._replace(source=debian("no-such-other", "two", "shared")),
    ]
    monkeypatch.setattr("bench.peers.__main__.PEERS", dict(enumerate(rows)))
    assert wanted() == ["one", "shared", "two"]


def test_a_peer_that_is_not_installed_is_unavailable_with_the_way_to_get_it(tmp_path: Path) -> None:
    peer = PEERS["relay"]._replace(source=debian("no-such-server", "package"))
    with pytest.raises(Unavailable, match="apt-get install package"), start(peer, tmp_path, 1):
        pass


def test_a_peer_that_ends_at_once_is_unavailable_with_its_last_words(tmp_path: Path) -> None:
    words = ("-c", "raise SystemExit('no such option')")
    peer = PEERS["relay"]._replace(launch=lambda site: Launch(words))
    with pytest.raises(Unavailable, match="no such option"), start(peer, tmp_path, 1):
        pass


@pytest.mark.parametrize("peer", QUICK, ids=[peer.key for peer in QUICK])
def test_answers_arrive_whole(peer: Peer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        try:
            upstream = stack.enter_context(nginx.upstream(tmp_path))
            subject = stack.enter_context(start(peer, tmp_path, upstream))
        except Unavailable as reason:
            pytest.skip(str(reason))
        assert len(asyncio.run(latencies_us(subject.port, 100, 0.2))) == 20
        assert subject.pids
        if peer is nginx.LUA:
            *_, line = (tmp_path / peer.key / "facts.log").read_text().splitlines()
            facts = msgspec.json.decode(line)
            assert (facts["model"], facts["user"], facts["stream"]) == ("bench-model", "bench", "0")
            assert (facts["messages"], facts["max_tokens"], facts["finish"]) == ("2", "128", "stop")
            assert (facts["prompt_tokens"], facts["completion_tokens"], facts["status"]) == ("34", "27", 200)


@pytest.mark.parametrize("peer", QUICK, ids=[peer.key for peer in QUICK])
def test_streams_arrive_whole(peer: Peer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        upstream = stack.enter_context(streamer.running_at(1, tmp_path))
        try:
            subject = stack.enter_context(start(peer, tmp_path, upstream, streams=True))
        except Unavailable as reason:
            pytest.skip(str(reason))
        assert asyncio.run(read_streams(subject.port, 3, 0.001, limit_s=20, kind="paced")) == 300
        assert asyncio.run(read_streams(subject.port, 2, 0.001, limit_s=20, kind="large")) == 80
