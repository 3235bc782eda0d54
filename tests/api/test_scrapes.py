"""Many scrapers at once."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_metrics_proxy.api.scrapes import Scrapes
from llm_metrics_proxy.counters import CounterBook
from tests.analytics.database import Database, a_record
from tests.api.service import client
from tests.counting import count


def until_so_many_wait(scrapes: Scrapes, many: int) -> None:
    deadline = time.monotonic() + 60
    (being_made,) = scrapes._being_made.values()
    while len(being_made._condition._waiters) < many:  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Renderer:
    """Says when it began, and goes on when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Semaphore(0), threading.Event()
        self.times = 0

    def __call__(self, accept: str) -> tuple[bytes, str]:
        self.times += 1
        self.begun.release()
        assert self.may_end.wait(60)
        if accept == "broken":
            raise ValueError("broken")
        return f"{accept}{self.times}".encode() * 1000, "text/plain"


def test_those_who_come_while_an_answer_is_made_get_that_one_and_the_next_gets_a_new_one() -> None:
    renderer = Renderer()
    scrapes = Scrapes(renderer)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(scrapes.answer, "", "gzip")
        assert renderer.begun.acquire(timeout=60)
        others = [pool.submit(scrapes.answer, "", "gzip;q=0.5") for _ in range(2)]
        until_so_many_wait(scrapes, 2)
        other_format = threading.Thread(target=scrapes.answer, args=("other", "gzip"))
        other_format.start()
        assert renderer.begun.acquire(timeout=60)
        assert renderer.times == 2  # one for each format
        renderer.may_end.set()
        bodies = {future.result().body for future in (first, *others)}
        other_format.join()
    assert len(bodies) == 1
    assert scrapes.answer("", "").body.startswith(b"3")


def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    renderer = Renderer()
    renderer.may_end.set()
    scrapes = Scrapes(renderer)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            scrapes.answer("broken", "")
    assert renderer.times == 2


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_metrics_are_compressed_for_those_who_ask(database: Database, accept: str) -> None:
    book = CounterBook()
    count(book, a_record())
    http = client(database, book=book)
    plain = http.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with http.stream("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip;q=0.3"}) as packed:
        raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["content-type"] == plain.headers["content-type"]
        assert int(packed.headers["content-length"]) == len(raw) < len(plain.content) / 5
    assert gzip.decompress(raw) == plain.content
    for answer in (plain, packed):
        assert answer.headers["vary"] == "Accept, Accept-Encoding"
    refused = http.get("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    assert http.head("/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"}).content == b""
