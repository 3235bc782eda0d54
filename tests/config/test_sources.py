"""Which value counts, where it came from, and the exact line for each thing that can be wrong."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError
from tests.config.test_service_links import docker, kubernetes

CERTIFICATES = "a file with certificates in PEM that can be read"
URL = "demo, or an http:// or https:// URL without user, password, query or fragment, such as http://127.0.0.1:11434"
PREFIX = "LLM_METRICS_PROXY_"

BAD = [
    (
        {"port": "99999"}, {}, "",
        ["port = '99999' (flag --port): must be a whole number from 0 to 65535"],
    ),
    (
        {}, {PREFIX + "PORT": "http"}, "",
        ["port = 'http' (environment LLM_METRICS_PROXY_PORT): must be a whole number from 0 to 65535"],
    ),
    (
        {}, {}, "port = true",
        ["port = true (FILE line 1, key port): must be a whole number from 0 to 65535"],
    ),
    (
        {}, {"PROXY_PORT": "-1"}, "",
        ["port = '-1' (environment PROXY_PORT): must be a whole number from 0 to 65535"],
    ),
    (
        {"connect_timeout_s": "nan"}, {}, "",
        ["connect_timeout_s = 'nan' (flag --connect-timeout-s): must be a number from 0.1 to 86400"],
    ),
    (
        {}, {PREFIX + "MAX_BODY_BYTES": "9 TiB"}, "",
        ["max_body_bytes = '9 TiB' (environment LLM_METRICS_PROXY_MAX_BODY_BYTES): must be a size from 1 KiB to 4 GiB"],
    ),
    (
        {}, {}, "allow_paths = ['/a', 3]",
        [("allow_paths = ['/a', 3] (FILE line 1, key allow_paths): must be paths that begin with /, "
          "separated by commas")],
    ),
    (
        {}, {PREFIX + "METRICS_TOKEN": "hunter2"}, "",
        [("metrics_token = *** (environment LLM_METRICS_PROXY_METRICS_TOKEN): "
         "must be at least 8 printable ASCII characters without spaces")],
    ),
    (
        {"backend": "http://me:hunter2@host/x@y"}, {}, "",
        [f"backend = 'http://***@y' (flag --backend): must be {URL}"],
    ),
    (
        {"backend": "me:hunter2@host"}, {}, "",
        [f"backend = '***@host' (flag --backend): must be {URL}"],
    ),
    (
        {"backend": "http://host/?key=hunter2"}, {}, "",
        [f"backend = 'http://host/?***' (flag --backend): must be {URL}"],
    ),
    (
        {}, {"BACKEND_HOST": "ollama", "BACKEND_PORT": "x"}, "",
        [f"backend = 'http://ollama:x' (environment BACKEND_HOST and BACKEND_PORT): must be {URL}"],
    ),
    (
        {"upstream_ca_file": "/no/such/file.pem"}, {}, "",
        [f"upstream_ca_file = '/no/such/file.pem' (flag --upstream-ca-file): must be {CERTIFICATES}"],
    ),
    (
        {"upstream_ca_file": __file__}, {}, "",  # which can be read, and holds none
        [f"upstream_ca_file = {__file__!r} (flag --upstream-ca-file): must be {CERTIFICATES}"],
    ),
    (
        {}, {PREFIX + "PROT": "1"}, "",
        ["LLM_METRICS_PROXY_PROT (environment): is not a setting; did you mean LLM_METRICS_PROXY_PORT?"],
    ),
    (
        {}, {}, "data-dir = 'x'",
        ["'data-dir' (FILE line 1): is not a setting; did you mean data_dir?"],
    ),
    (
        {}, {}, "[server]\nzzz = 1",
        ["'server' (FILE line 1): is not a setting; did you mean server_metrics?"],
    ),
    (
        {}, {}, "port = 1\nhost = \n",
        ["FILE (--config): is not TOML: Invalid value (at line 2, column 8)"],
    ),
    (
        {"metrics_host": "0.0.0.0"}, {}, "",
        [("metrics_host = '0.0.0.0' (flag --metrics-host): can be reached from other machines: "
         "set metrics_token too, or insecure if everyone may read the metrics")],
    ),
    (
        {}, {"PROXY_PORT": "8002"}, "",
        ["metrics_port = 8002 (default): is the proxy's port already: choose another"],
    ),
    (
        {"workers": "0"},
        {PREFIX + "LOG_FORMAT": "xml", PREFIX + "LOG_LEVL": "info"},
        "insecure = 7\nmetrics_host = '::'",
        ["LLM_METRICS_PROXY_LOG_LEVL (environment): is not a setting; did you mean LLM_METRICS_PROXY_LOG_LEVEL?",
         "insecure = 7 (FILE line 1, key insecure): must be true or false",
         "workers = '0' (flag --workers): must be auto or a whole number from 1 to 256",
         "log_format = 'xml' (environment LLM_METRICS_PROXY_LOG_FORMAT): must be text or json"],
    ),
    (
        {"host": "a b", "port": "8002"}, {}, "",
        ["host = 'a b' (flag --host): must be an IP address or a host name"],
    ),
    (
        {"host": "a b", "metrics_host": "0.0.0.0"}, {}, "",
        ["host = 'a b' (flag --host): must be an IP address or a host name",
         ("metrics_host = '0.0.0.0' (flag --metrics-host): can be reached from other machines: "
         "set metrics_token too, or insecure if everyone may read the metrics")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "environment", "toml", "lines"), BAD)
def test_what_is_wrong_is_said_in_one_line_each(
    tmp_path: Path, flags: dict[str, str], environment: dict[str, str], toml: str, lines: list[str]
) -> None:
    file = tmp_path / "file.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as caught:
        load(flags, environment, file if toml else None)
    assert [line.replace(str(file), "FILE") for line in caught.value.problems] == lines
    assert "hunter2" not in str(caught.value)


def test_a_stronger_layer_wins_and_every_origin_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text('port = 3\nmetrics_port = 3\nhost = "127.0.0.3"\nlog_level = "debug"\n')
    environment = {PREFIX + "PORT": "2", PREFIX + "METRICS_PORT": "22", "PROXY_PORT": "4", "DB_PATH": "/old/x.db"}
    settings, origins, config_file, flags, *_ = load({"port": "1"}, environment, file)
    assert flags == {"port": "1"}
    assert (settings.port, origins["port"]) == (1, "flag --port")
    assert (settings.metrics_port, origins["metrics_port"]) == (22, "environment LLM_METRICS_PROXY_METRICS_PORT")
    assert (settings.host, origins["host"]) == ("127.0.0.3", f"{file} line 3, key host")
    assert (str(settings.db_path), origins["db_path"]) == ("/old/x.db", "environment DB_PATH")
    assert (str(settings.data_dir), origins["data_dir"]) == ("/old", "environment DB_PATH")
    assert (str(settings.journal_dir), origins["journal_dir"]) == ("/old/journal", "default")
    assert config_file == file


@pytest.mark.parametrize(
    ("environment", "backend", "origin"),
    [
        ({"BACKEND_HOST": "ollama", "BACKEND_PORT": "11434"}, "http://ollama:11434", "BACKEND_HOST and BACKEND_PORT"),
        ({"BACKEND_HOST": "vllm"}, "http://vllm:8000", "BACKEND_HOST"),
        ({"BACKEND_PORT": "9000"}, "http://localhost:9000", "BACKEND_PORT"),
        ({"BACKEND_HOST": "https://api.example.org"}, "https://api.example.org", "BACKEND_HOST"),
    ],
)
def test_variables_of_earlier_deployments_name_the_backend(
    environment: dict[str, str], backend: str, origin: str
) -> None:
    loaded = load({}, environment)
    assert (loaded.settings.backend, loaded.origins["backend"]) == (backend, f"environment {origin}")


def test_links_to_services_of_our_names_are_passed_over_and_told() -> None:
    links = {**kubernetes("LLM_METRICS_PROXY"), **kubernetes("LLM_METRICS_PROXY_METRICS"), **docker("PROXY")}
    loaded = load({}, {**links, PREFIX + "METRICS_HOST": "127.0.0.2", "HOME": "/", "METRICS_PORT": "tcp://10.0.0.8:80"})
    assert {name: origin for name, origin in loaded.origins.items() if origin != "default"} == {
        "metrics_host": "environment LLM_METRICS_PROXY_METRICS_HOST"
    }
    told = {name for name in links if name.startswith(PREFIX)} | {"METRICS_PORT", "PROXY_PORT"}
    assert loaded.links == tuple(sorted(told))


def test_a_value_with_a_wrong_scheme_is_no_link_but_a_mistake() -> None:
    with pytest.raises(SettingsError, match="BACKEND"):
        load({}, {PREFIX + "BACKEND": "tcp://10.0.0.7:8000"})


def test_an_empty_variable_is_an_absent_one() -> None:
    assert load({}, {PREFIX + "PORT": "", "DB_PATH": "", PREFIX + "CONFIG": ""}).origins["port"] == "default"


def test_the_file_can_be_named_by_the_environment_and_must_then_be_there(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text("port = 7")
    assert load({}, {PREFIX + "CONFIG": str(file)}).settings.port == 7
    with pytest.raises(SettingsError, match=r"none\.toml \(environment LLM_METRICS_PROXY_CONFIG\): cannot be read: No"):
        load({}, {PREFIX + "CONFIG": str(tmp_path / "none.toml")})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(b"port = 1 # \xff")
    with pytest.raises(SettingsError, match="is not TOML"):
        load({}, {}, file)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "c.toml")
    with pytest.raises(SettingsError, match=r"c\.toml \(--config\): is no regular file: name one in TOML$"):
        load({}, {}, tmp_path / "c.toml")


def test_no_file_at_all_can_be_named() -> None:
    assert load({}, {}, Path("/dev/null")).settings == load({}, {}, None).settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000, "is nested too deep: settings are flat$"),
        ("backends" + ".a" * 5000 + " = 1", "is nested too deep: settings are flat$"),
        ("port = " + "9" * 5000, "is not TOML: Exceeds"),
    ],
)
def test_a_file_that_the_parser_gives_up_on_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"c\.toml \(--config\): " + words):
        load({}, {}, tmp_path / "c.toml")


values = st.text(max_size=30) | st.from_regex(r"[a-z]*:?//[a-z@:/?]*", fullmatch=True)


@given(
    st.dictionaries(st.sampled_from(sorted(rows())), values, max_size=4),
    st.dictionaries(st.sampled_from([row.environment for row in rows().values()]), values, max_size=4),
)
def test_whatever_is_given_comes_to_settings_or_to_one_line_per_problem(
    flags: dict[str, str], environment: dict[str, str]
) -> None:
    problems: Sequence[str] = []
    origins = dict.fromkeys(rows())
    try:
        origins = load(flags, environment).origins  # type: ignore[assignment]
    except SettingsError as error:
        problems = error.problems
        origins = {} if not problems else origins
    assert origins.keys() == rows().keys()
    assert all(line.isprintable() for line in problems)
