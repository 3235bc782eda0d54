"""The tables ``[[backends]]``: what may stand there, and the exact line for each thing that may not."""

from pathlib import Path

import pytest

from llm_metrics_proxy.config.backends import _OURS, MAX_BACKENDS, RESERVED, BackendTable
from llm_metrics_proxy.config.faults import shown
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes.options import proxy_options
from llm_metrics_proxy.proxy.choice import SPEAKS
from llm_metrics_proxy.proxy.headers import _HOP_BY_HOP
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.proxy.routing import backends_of
from llm_metrics_proxy.scoreboard import BACKEND_COUNT
from llm_metrics_proxy.wire.endpoints import ENDPOINTS, PREFIXES
from tests.upstream import Certificate

A = '[[backends]]\nname = "a"\nurl = "http://h:1"\n'
NAME = "must be up to 63 of a-z, 0-9, dot, dash and underscore, and not the beginning of an LLM server's path"
URL = "must be an http:// or https:// URL without user, password, query or fragment"
MODELS = 'must be a list of patterns, such as ["llama3*", "qwen2.5:7b"], each [ with its ]'
HEADERS = 'must be header names and values, such as {"X-Team" = "red"}; not those that frame or route a message'

BAD = [
    (A + A, ["backends = a, a (FILE line 1, key backends): two backends are named 'a': a name is for one"]),
    ("[[backends]]\nname = 'A'\nurl = 'http://h'", [f"backends[0].name = 'A' (FILE line 2): {NAME}"]),
    (
        "[[backends]]\nname = 'v1'\nurl = 'http://h'",
        [f"backends[0].name = 'v1' (FILE line 2): LLM servers have paths that begin so; it {NAME}"],
    ),
    ("[[backends]]\nname = 'b'", [f"backends[0].url (FILE line 1): is missing; it {URL}"]),
    (
        A + "\n[[backends]]\nname = 'b'\nurl = 'http://me:secret@h'",
        [f"backends[1].url = 'http://***@h' (FILE line 7): {URL}"],
    ),
    (A + "wieght = 2", ["backends[0].wieght (FILE line 4): is not a key of a backend; did you mean weight?"]),
    (A + "weight = 0", ["backends[0].weight = 0 (FILE line 4): must be a whole number from 1 to 1000"]),
    (A + "weight = true", ["backends[0].weight = true (FILE line 4): must be a whole number from 1 to 1000"]),
    (
        A + "dialect = 'gemma'",
        ["backends[0].dialect = 'gemma' (FILE line 4): must be openai, anthropic, ollama, gemini, bedrock or cohere"],
    ),
    (
        A + "models = [\n'ok',\n'[a']",
        [f"backends[0].models = ['ok', '[a'] (FILE line 4): '[a' has a [ without its ]; it {MODELS}"],
    ),
    (
        A + "models = ['']",
        [f"backends[0].models = [''] (FILE line 4): a pattern is empty or begins or ends in a space; it {MODELS}"],
    ),
    (A + "models = 'm'", [f"backends[0].models = 'm' (FILE line 4): {MODELS}"]),
    (
        A + "add_headers = { 'Content-Length' = '1' }",
        [f"backends[0].add_headers = *** (FILE line 4): 'Content-Length' cannot be added as a header; it {HEADERS}"],
    ),
    (
        A + 'add_headers = { "X-A" = "secret\\r\\nX: 1" }',
        [f"backends[0].add_headers = *** (FILE line 4): the value of X-A is not printable ASCII; it {HEADERS}"],
    ),
    (
        A + "api_key_env = 'NO_SUCH_KEY'",
        [("backends[0].api_key_env = 'NO_SUCH_KEY' (backend a): there is no such variable in the environment, or it is "
          "empty: set it")],
    ),
    (
        A + "api_key_env = 'ODD_KEY'",
        [("backends[0].api_key_env = 'ODD_KEY' (backend a): the variable's value is not a key: it has spaces or other "
          "than printable ASCII")],
    ),
    (
        A + "ca_file = '/no/such.pem'",
        [("backends[0].ca_file = '/no/such.pem' (FILE line 4): must be a file with certificates in PEM that can be "
          "read")],
    ),
    (
        "backend = 'http://h'\n" + A,
        [("backend = 'http://h' (FILE line 1, key backend): names one server, and `backends` in the file names others: "
          "give the one or the other")],
    ),
    (
        "backends = 3",
        [("backends = a number (FILE line 1, key backends): must be tables with at least name and url, each under its "
          "[[backends]]")],
    ),
    (
        "".join(A.replace('"a"', f'"b{number}"') for number in range(MAX_BACKENDS + 1)),
        ["backends = FILE (FILE line 1, key backends): there are 33; at most 32 can be"],
    ),
    (
        A + "probe_path = 'x'\nidle_timeout_s = 0\ntls_server_name = 'a b'",
        ["backends[0].idle_timeout_s = 0 (FILE line 5): must be a number from 0.1 to 86400",
         "backends[0].tls_server_name = 'a b' (FILE line 6): must be a host name",
         "backends[0].probe_path = 'x' (FILE line 4): must be a path that begins with /"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("toml", "lines"), BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, toml: str, lines: list[str]) -> None:
    file = tmp_path / "file.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load({}, {"ODD_KEY": "two words"}, file)
    found = [line.replace(str(file), "FILE") for line in caught.value.problems]
    if "there are 33" in lines[0]:
        found = [f"backends = FILE ({line.partition(' (')[2]}" for line in found]
    assert found == lines
    assert "secret" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_a_table_says_reaches_the_worker(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    file = tmp_path / "file.toml"
    file.write_text(
        A
        + f"""dialect = "anthropic"
models = ["m*", "n"]
weight = 3
api_key_env = "A_KEY"
add_headers = {{ X-Team = "red" }}
connect_timeout_s = 1
first_byte_timeout_s = 2
idle_timeout_s = 3
ca_file = "{certificate.cert_file}"
tls_server_name = "llm.internal"
tls_verify = false
probe_path = "/up"

[[backends]]
name = "b"
url = "https://h/v1/"
"""
    )
    loaded = load({}, {"A_KEY": "sk-secret"}, file)
    options = proxy_options(loaded, backend="", listen_fds=[], worker_index=0, scoreboard_fd=None)
    first, second = options.backends
    assert first == BackendOptions(
        name="a", url="http://h:1", dialect="anthropic", models=["m*", "n"], weight=3, api_key="sk-secret",
        add_headers={"X-Team": "red"}, connect_timeout_s=1, first_byte_timeout_s=2, idle_timeout_s=3,
        ca_file=str(certificate.cert_file), tls_server_name="llm.internal", tls_verify=False, probe_path="/up",
    )  # fmt: skip
    assert second == BackendOptions(name="b", url="https://h/v1")
    assert "sk-secret" not in repr(loaded) + repr(loaded.settings) + repr(options)
    a, b = backends_of(options)
    assert (a.limits.connect_timeout_s, a.limits.first_byte_timeout_s, a.limits.idle_timeout_s) == (1, 2, 3)
    assert (b.limits.connect_timeout_s, b.limits.first_byte_timeout_s, b.limits.idle_timeout_s) == (10, 600, 300)
    assert (a.tls_verify, a.ca_file, a.server_name, a.probe_path) == (False, first.ca_file, "llm.internal", b"/up")
    assert (b.tls_verify, b.ca_file, b.server_name, b.probe_path) == (True, None, None, b"/v1/models")
    assert shown(rows()["backends"], loaded.settings.backends) == "a, b"


def test_backends_cannot_come_from_the_environment() -> None:
    with pytest.raises(SettingsError, match=r"LLM_METRICS_PROXY_BACKENDS \(environment\): is not a setting"):
        load({}, {"LLM_METRICS_PROXY_BACKENDS": "[]"})


def test_the_scoreboard_has_room_for_all() -> None:
    assert MAX_BACKENDS == BACKEND_COUNT


def test_no_name_hides_a_path_of_a_server() -> None:
    rows = [path if path.startswith("/") else "/" + path for row in ENDPOINTS for path in row.below or row.paths]
    paths = [path.replace("/**/", "/") for path in (*PREFIXES, *rows, "/health", "/ready")]
    given = {"openai", "engines", "beta"}  # names that people give: there the name counts
    given |= {
        "agents",
        "classifications",
        "conversations",
        "decode",
        "embed",
        "fim",
        "inference",
        "model",
        "ocr",
        "predict",
        "search",
        "similarity",
        "tts",
        "uploads",
        "vad",
        "videos",
    }  # new in 4.5, and given before
    assert {path.split("/")[1] for path in paths if path.strip("/")} - given <= RESERVED


def test_no_field_that_frames_a_message_can_be_added() -> None:
    assert {name.decode() for name in _HOP_BY_HOP} - {"proxy-authenticate", "proxy-authorization"} <= _OURS


def test_dialects_are_those_that_are_known_to_the_choice() -> None:
    for dialect in SPEAKS:
        BackendTable(name="a", url="http://h", dialect=dialect)  # type: ignore[arg-type]


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    file = tmp_path / "file.toml"
    file.write_text(A + f"ca_file = '{tmp_path}/x.pem'")
    with pytest.raises(SettingsError, match="a file with certificates in PEM"):
        load({}, {}, file)
