"""Somebody like Prometheus, who looks all the while and remembers every value."""

import http.client
import threading
from types import TracebackType
from typing import Final, Self

from prometheus_client.parser import text_string_to_metric_families

# What is stored with the records. Counts of what never became a record are the workers' own and start at 0 with them.
STORED: Final = (
    "llm_proxy_requests_total",
    "llm_proxy_errors_total",
    "llm_proxy_request_success_total",
    "llm_proxy_prompt_tokens_total",
    "llm_proxy_generation_tokens_total",
    "llm_proxy_time_to_first_token_seconds",
    "llm_proxy_time_per_output_token_seconds",
    "llm_proxy_e2e_request_latency_seconds",
    "llm_proxy_proxy_overhead_seconds",
)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(port: int) -> Samples:
    """Every sample by name and labels. Raises ``OSError`` or ``HTTPException`` while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        with connection.getresponse() as response:
            assert response.status == 200
            text = response.read().decode()
    finally:
        connection.close()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all series of a name that have these labels."""
    return sum(
        value for (each, having), value in samples.items() if each == name and labels.items() <= dict(having).items()
    )


class Scraper:
    """``with Scraper(port) as scraper:`` looks until the block ends, and then says whether anything went down."""

    def __init__(self, port: int, interval_s: float = 0.1) -> None:
        self.scrapes = 0
        self._port = port
        self._interval_s = interval_s
        self._last: Samples = {}
        self._went_down: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scraper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            assert not self._went_down, self._went_down[:5]
            assert self.scrapes, "nobody ever answered a scrape"

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                now = scrape(self._port)
            except (OSError, http.client.HTTPException):
                continue  # the metrics process is what is being killed
            self.scrapes += 1
            for key, before in self._last.items():
                if key[0].startswith(STORED) and now.get(key, before) < before:
                    self._went_down.append(f"{key}: {before} → {now[key]}")
            self._last.update(now)  # one that is missing while the database cannot be read has not gone down
