"""How a setting's text becomes a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.types import MAX_WORKERS
from llm_metrics_proxy.machine import cpus
from llm_metrics_proxy.scoreboard import SLOT_COUNT


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("65536", 65_536),
        (65_536, 65_536),
        ("64KiB", 65_536),
        ("64 kib", 65_536),
        ("1MiB", 1_048_576),
        ("0.5MiB", None),
        ("64kB", 64_000),
        ("1MB", 1_000_000),
        ("64XB", None),
        ("64ib", None),
        ("-1KiB", None),
        ("٦٤KiB", None),  # digits, but not ours
        (True, None),
        (1024.5, None),
        ("", None),
    ],
)
def test_sizes_are_bytes_or_bytes_with_a_unit(text: object, size: int | None) -> None:
    if size is None:
        with pytest.raises(ValidationError):
            Settings(max_header_bytes=text)  # type: ignore[arg-type]
    else:
        assert Settings(max_header_bytes=text).max_header_bytes == size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        (" http://[::1]:8000/ ", "http://[::1]:8000"),
        ("demo", "demo"),
        ("localhost:11434", None),
        ("ftp://host", None),
        ("http://", None),
        ("http://host:99999", None),
        ("http://host:0", None),
        ("http://user@host", None),
        ("http://user:secret@host", None),
        ("http://host/?key=secret", None),
        ("http://host/#fragment", None),
        ("http://ho st", None),
        ("http://host/\r\nX: 1", None),
        ("http://[::1", None),
    ],
)
def test_a_backend_is_a_base_url_and_nothing_more(url: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(ValidationError):
            Settings(backend=url)
    else:
        assert Settings(backend=url).backend == kept


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("[::1]", "::1"),
        ("proxy.example.org", "proxy.example.org"),
        ("1.2.3", None),
        ("1.2.3.456", None),
        ("http://host", None),
        ("host:80", None),
        ("-x", None),
        ("", None),
    ],
)
def test_a_host_is_an_address_or_a_name(host: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(ValidationError):
            Settings(host=host)
    else:
        assert Settings(host=host).host == kept


def test_lists_are_commas_repetitions_or_both() -> None:
    assert Settings(allow_paths="/a, /b,,").allow_paths == ["/a", "/b"]  # type: ignore[arg-type]
    assert Settings(allow_paths=["/a,/b", "/c"]).allow_paths == ["/a", "/b", "/c"]
    assert Settings(trusted_proxies="10.1.2.3/8, ::1").trusted_proxies == ["10.0.0.0/8", "::1/128"]  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [["/a", 3], "a", "/a?b", {"a": 1}, 7])
def test_lists_of_something_else_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(allow_paths=value)  # type: ignore[arg-type]


def test_every_worker_has_a_slot_in_the_scoreboard() -> None:
    assert MAX_WORKERS == SLOT_COUNT


def test_auto_is_one_worker_for_each_cpu_that_may_be_used() -> None:
    assert Settings(workers="AUTO").workers == Settings().workers == min(MAX_WORKERS, cpus())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("localhost", "localhost"), ("localhost:11434", "localhost:11434"), (" LLM.lan ", "LLM.lan"),
        ("[::1]:80", "[::1]:80"),
        ("10.0.0.7:8000", "10.0.0.7:8000"), ("", None), ("*", None), ("*.lan", None), ("a b", None), ("http://a", None),
        ("a/b", None), ("a:0", None), ("a:65536", None), ("a:b", None), ("a\r\nX: y", None), ("u@a", None),
    ],
)  # fmt: skip
def test_a_header_host_is_one_host_perhaps_with_a_port(text: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(ValidationError):
            Settings(upstream_host_header=text)
    else:
        assert Settings(upstream_host_header=text).upstream_host_header == kept


def test_names_and_origins_are_lists_in_the_form_that_is_compared() -> None:
    settings = Settings(allowed_hosts="LLM.lan, *.b", allowed_origins=["https://A.example/,null", "*"])  # type: ignore[arg-type]
    assert settings.allowed_hosts == ["llm.lan", "*.b"]
    assert settings.allowed_origins == ["https://a.example", "null", "*"]
    for wrong in ({"allowed_hosts": ["http://a"]}, {"allowed_origins": ["a.example"]}):
        with pytest.raises(ValidationError):
            Settings(**wrong)  # type: ignore[arg-type]


@given(
    st.dictionaries(
        st.sampled_from(sorted(Settings.model_fields)), st.text() | st.integers() | st.booleans() | st.none()
    )
)
def test_any_value_is_accepted_or_refused_but_never_breaks_validation(values: dict[str, object]) -> None:
    try:
        settings = Settings(**values)  # type: ignore[arg-type]
    except ValidationError:
        return
    assert 0 <= settings.port <= 65_535
    assert 1 <= settings.workers <= MAX_WORKERS
