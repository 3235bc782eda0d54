"""The documentation below ``/help/``, from packed files, for everybody who reaches the port."""

import gzip
import re
from pathlib import Path

import pytest

from llm_metrics_proxy.api.help_pages import CONTENT_SECURITY_POLICY, find
from tests.analytics.database import Database
from tests.api.service import client
from tests.api.test_conditional import same_tags

PAGE = b"<!doctype html><h1>Help</h1>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "topics").mkdir(parents=True)
    (site / "index.html.gz").write_bytes(gzip.compress(PAGE))
    (site / "topics" / "cost.html.gz").write_bytes(gzip.compress(PAGE + b"cost"))
    (site / "favicon.png").write_bytes(b"\x89PNG")
    return site


def test_pages_go_out_packed_and_unpacked_to_whoever_takes_nothing_else(database: Database, folder: Path) -> None:
    http = client(database, help_pages=find(folder))
    for accepted, coding in (("gzip, br", "gzip"), ("identity", None), ("gzip;q=0", None)):
        response = http.get("/help/topics/cost.html", headers={"Accept-Encoding": accepted})
        assert (response.content, response.headers.get("content-encoding")) == (PAGE + b"cost", coding)
        assert response.headers["content-type"].startswith("text/html")
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert response.headers["vary"] == "Accept-Encoding"
    assert http.get("/help/favicon.png").headers["content-type"] == "image/png"
    assert http.get("/help/").content == http.get("/help/index.html").content == PAGE


def test_the_address_without_a_slash_leads_to_the_folder_below_any_prefix(database: Database, folder: Path) -> None:
    response = client(database, help_pages=find(folder)).get("/help", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (307, "help/")


def test_what_the_browser_has_is_not_sent_again(database: Database, folder: Path) -> None:
    http = client(database, help_pages=find(folder))
    etag = http.get("/help/").headers["etag"]
    for given, status in same_tags(etag).items():
        again = http.get("/help/", headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (status, b"" if status == 304 else PAGE), given


def test_it_needs_no_token_and_is_no_way_around_it(database: Database, folder: Path) -> None:
    http = client(database, help_pages=find(folder), token="secret-token")
    assert http.get("/help/").status_code == http.get("/help/topics/cost.html").status_code == 200
    for path in ("/help/../metrics", "/helpless", "/api/v1/summary"):
        assert http.get(path).status_code == 401
    for path in ("/help/gone.html", "/help/%2e%2e/metrics", "/help//metrics", "//help/api/v1/summary"):
        assert http.get(f"{http.base_url}{path}").status_code == 404


def test_what_is_not_there_is_404_even_if_it_was_there_at_the_start(database: Database, folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("no")
    http = client(database, help_pages=find(folder))
    (folder / "topics" / "cost.html.gz").unlink()
    for path in ("topics/cost.html", "gone.html", "%2e%2e/secret.txt", "topics/", "index.html.gz"):
        response = http.get(f"/help/{path}")
        assert (response.status_code, response.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        first = re.search("href='([^']+)'", response.text)
        assert first is not None
        assert response.url.join(first[1]).path == "/help/", path


def test_an_installation_without_it_says_how_to_build_it(database: Database, tmp_path: Path) -> None:
    assert find(tmp_path / "missing") == {}
    response = client(database).get("/help/")
    assert response.status_code == 200
    assert "make docs" in response.text
