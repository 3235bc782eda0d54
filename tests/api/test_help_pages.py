"""The documentation below ``/help/``, from packed files, for everybody who reaches the port."""

import gzip
from pathlib import Path

import pytest

from llm_metrics_proxy.api.help_pages import CONTENT_SECURITY_POLICY, find, paths
from tests.analytics.database import Database
from tests.api.service import client

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
    again = http.get("/help/", headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_it_needs_no_token_and_is_no_way_around_it(database: Database, folder: Path) -> None:
    http = client(database, help_pages=find(folder), token="secret-token")
    assert http.get("/help/").status_code == http.get("/help/topics/cost.html").status_code == 200
    for path in ("/help/../metrics", "/help/gone.html", "/helpless", "/api/v1/summary"):
        assert http.get(path).status_code == 401
    assert "/help/topics/cost.html" in paths(find(folder))


def test_what_is_not_there_is_404_even_if_it_was_there_at_the_start(database: Database, folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("no")
    http = client(database, help_pages=find(folder))
    (folder / "topics" / "cost.html.gz").unlink()
    for path in ("topics/cost.html", "gone.html", "%2e%2e/secret.txt", "topics/", "index.html.gz"):
        response = http.get(f"/help/{path}")
        assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found"), path


def test_an_installation_without_it_says_how_to_build_it(database: Database, tmp_path: Path) -> None:
    assert find(tmp_path / "missing") == {}
    response = client(database).get("/help/")
    assert response.status_code == 200
    assert "make docs" in response.text
