"""``support-bundle``: complete, readable, and without a single thing that is nobody else's business."""

import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from llm_metrics_proxy.cli.support.parts import PARTS
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.processes import discovery
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli, Ran, make_record

# Everything that must not come out begins so; words of the program must not come out as names either.
MARK = "Xq7"
HOST = "xq7host.internal"
SETTINGS = f"""
backend = "http://{HOST}:9/{MARK}path"
metrics_token = "{MARK}-token-of-all"
host_name = "{MARK}-machine"
data_dir = "{MARK} data"
otlp_endpoint = "http://{HOST}:4318"
otlp_headers = "authorization=Bearer {MARK}otlp"
allowed_hosts = ["{HOST}"]
allow_paths = ["/{MARK}/secret"]
trusted_proxies = ["198.51.100.7"]
log_level = "warning"

[[tokens]]
name = "xq7alice"
token = "{MARK}-token-of-alice"
user = ["{MARK}Alice", "journal"]

[[alerts]]
name = "xq7alert"
metric = "requests"
threshold = 1
webhook = "https://{HOST}/hooks/{MARK}hook"

[[budgets]]
name = "xq7budget"
usd = 5
user = "{MARK}Alice"

[[prices]]
model = "{MARK}model*"
input_usd_per_mtok = 1
"""
LOG = f"""\
2026-11-29T23:27:02.123Z warning worker-0: backend {HOST} failed for user {MARK}Alice: connection refused
2026-11-29T23:27:03.123Z error metrics: the journal of journal is full at /home/{MARK.lower()}/x; key sk-{MARK}abc
{{"time": "2026-11-29T23:27:04.123Z", "message": "prompt: {MARK} tell me of {MARK}", "exception": "at 198.51.100.7"}}
"""


@pytest.fixture(autouse=True)
def lonely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CANDIDATES", ())


def texts_of_a_record() -> dict[str, Any]:
    """Every column that holds text, marked; except those that have few values."""
    fixed = {"request_id", "timestamp", "method", "endpoint", "outcome", "app_version", "error_category", "error_phase"}
    kinds = get_type_hints(RequestRecord)
    return {name: f"{MARK}{name}" for name, kind in kinds.items() if kind in (str, str | None) and name not in fixed}


@pytest.fixture
def bundle(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ran, dict[str, str]]:
    (tmp_path / "c.toml").write_text(SETTINGS)
    (tmp_path / "log").write_text(LOG)
    monkeypatch.setenv("LLM_METRICS_PROXY_STORE_PASSWORD_FILE", str(tmp_path / f"{MARK}-password"))
    (tmp_path / f"{MARK}-password").write_text(f"{MARK}password\n")
    store = SqliteStore(tmp_path / f"{MARK} data" / "metrics.db")
    records = [make_record(1, **texts_of_a_record()), make_record(2, user="journal")]
    store.append(IngestBatch(rows=[to_row(record) for record in records]))
    store.close()
    ran = cli("support-bundle", "--config", "c.toml", "--log", "log", "--output", "bundle.zip")
    assert ran.code == 0, ran.err
    return ran, contents(tmp_path / "bundle.zip")


def contents(path: Path) -> dict[str, str]:
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_no_secret_key_prompt_or_name_of_settings_records_and_log_is_in_it(
    bundle: tuple[Ran, dict[str, str]], tmp_path: Path
) -> None:
    ran, files = bundle
    assert len(texts_of_a_record()) > 25
    for name, text in files.items():
        assert MARK.lower() not in text.lower(), name
        assert "198.51.100.7" not in text, name
        assert "internal" not in text.replace("internal_error", ""), f"{name}: part of a host's name"
    assert MARK.lower() not in ran.out.lower().replace(str(tmp_path).lower(), "")
    assert "of <" in files["log.txt"], "a user who is called as a word of the program"
    assert "the journal" not in files["log.txt"]


def test_it_says_what_it_holds_and_what_it_holds_can_be_used(bundle: tuple[Ran, dict[str, str]]) -> None:
    ran, files = bundle
    assert files.keys() == {"README.txt", *(part.name for part in PARTS)}
    for part in PARTS:
        assert part.name in ran.out
        assert part.name in files["README.txt"]
    settings = json.loads(files["settings.json"])
    assert settings["log_level"]["value"] == "warning"
    assert settings["metrics_token"]["value"] == "given"
    assert settings["tokens"]["value"] == [["name", "token", "user"]]
    assert settings["idle_timeout_s"] == {"value": 300.0, "from": "default"}
    assert "line 11, key log_level" in settings["log_level"]["from"]
    checks = {finding["check"]: finding["status"] for finding in json.loads(files["doctor.json"])}
    assert checks["sqlite"] == "ok"
    assert checks["backend"] == "failed"
    assert any(each["name"] == "completion_requests" for each in json.loads(files["schema.json"])["objects"])
    assert json.loads(files["sizes.json"])["database"]["database"] > 0
    assert json.loads(files["version.json"])["app_version"]
    assert "no metrics process answers" in files["health.json"]
    assert "warning worker-0: backend" in files["log.txt"]
    assert "connection refused" in files["log.txt"]


class _Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = {"/health": f'{{"status": "ok", "host": "{MARK}"}}', "/metrics": f'llm_proxy_up{{model="{MARK}"}} 1\n'}
        body = said[self.path].encode()
        self.send_response(200 if self.headers["Authorization"] == f"Bearer {MARK}-of-all" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_of_a_process_that_runs_health_and_counters_are_in_it(cli: Cli, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "c.toml").write_text(f'metrics_token = "{MARK}-of-all"\nmetrics_port = {server.server_port}\n')
        assert cli("support-bundle", "--config", "c.toml", "--output", "b.zip").code == 0
        server.shutdown()
    files = contents(tmp_path / "b.zip")
    assert json.loads(files["health.json"])["status"] == "ok"
    assert files["metrics.txt"].startswith('llm_proxy_up{model="<')
    assert all(MARK.lower() not in text.lower() for text in files.values())


def test_settings_that_cannot_be_used_still_make_a_bundle(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'port = "{MARK}"\nmetrics_token = "{MARK}"\n{MARK}key = 1\n')
    ran = cli("support-bundle", "--config", "c.toml", "--log", "c.toml", "--output", "b.zip", "--json")
    assert ran.code == 0
    document = json.loads(ran.out)
    missing = {part["name"]: part["missing"] for part in document["parts"]}
    assert missing["doctor.json"] == "the settings cannot be used; settings.json says why"
    files = contents(tmp_path / "b.zip")
    assert len(json.loads(files["settings.json"])["unusable"]) == 3
    assert all(MARK.lower() not in text.lower() for text in files.values())


def test_with_settings_that_cannot_be_used_every_text_of_the_file_is_a_secret(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEY", "998877665544")
    (tmp_path / "c.toml").write_text(
        'port = "oops"\nmetrics_token = "server-metrics-proxy"\n'
        '[[backends]]\nname = "gateway"\nurl = "http://model.request:8000"\napi_key_env = "GATEWAY_KEY"\n'
    )
    (tmp_path / "m.log").write_text(
        "Bearer server-metrics-proxy key 998877665544 via gateway at http://model.request:8000\n"
    )
    assert cli("support-bundle", "--config", "c.toml", "--log", "m.log", "--output", "b.zip").code == 0
    log = contents(tmp_path / "b.zip")["log.txt"]
    assert "server-metrics" not in log
    assert "998877665544" not in log
    assert "gateway" not in log
    assert "model.request" not in log


def test_a_log_without_an_end_is_read_as_far_as_asked(cli: Cli) -> None:
    assert cli("support-bundle", "--log", "/dev/zero", "--lines", "5", "--output", "b.zip").code == 0


def test_it_is_made_from_sources_that_nobody_installed_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", nothing)
    assert cli("support-bundle", "--output", "b.zip").code == 0


def test_a_bundle_replaces_nothing_unasked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_text("mine")
    ran = cli("support-bundle", "--output", "b.zip")
    assert (ran.code, (tmp_path / "b.zip").read_text()) == (1, "mine")
    assert "is there already" in ran.err
