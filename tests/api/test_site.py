"""The dashboard's files, from memory, in the coding that the browser takes."""

import gzip
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.api.site import CONTENT_SECURITY_POLICY, VIEW_PATHS, Asset, Site, coding_for
from tests.analytics.database import Database
from tests.api.service import client
from tests.api.test_conditional import same_tags

PAGE = b"<!doctype html><head></head><div id=root></div>" + b" " * 600
SCRIPT = b"console.log(1);" * 50


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "assets").mkdir(parents=True)
    for name, content in (("index.html", PAGE), ("assets/main-1a2b.js", SCRIPT), ("favicon.svg", b"<svg/>")):
        (site / name).write_bytes(content)
        (site / f"{name}.br").write_bytes(brotli.compress(content))
        (site / f"{name}.gz").write_bytes(gzip.compress(content))
    return site


def test_the_types_of_the_api_are_text_and_need_no_token(database: Database, folder: Path) -> None:
    (folder / "api.d.ts").write_text("export interface paths {}\n")
    response = client(database, site=Site(folder), token="t" * 20).get("/api.d.ts")
    assert (response.status_code, response.text) == (200, "export interface paths {}\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", VIEW_PATHS)
def test_every_view_is_the_page_and_is_asked_for_anew(database: Database, folder: Path, path: str) -> None:
    response = client(database, site=Site(folder)).get(path)
    assert response.status_code == 200
    assert re.sub(b"<script>.*</script>", b"", response.content) == PAGE
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["content-type"].startswith("text/html")


def test_the_page_of_the_root_alone_sees_to_a_slash_by_a_script_that_its_policy_allows(
    database: Database, folder: Path
) -> None:
    """Every view but the root has one address; what its parts are called is relative to that."""
    http = client(database, site=Site(folder))
    found = {path: re.findall("<script>(.*?)</script>", http.get(path).text) for path in VIEW_PATHS}
    (script,) = found.pop("/")
    assert not any(found.values())
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in http.get("/").headers["content-security-policy"]
    assert http.get("/").headers["etag"] != http.get("/models").headers["etag"]


def test_slashes_before_a_path_are_one(database: Database, folder: Path) -> None:
    """What nginx makes of ``location /llm { proxy_pass http://127.0.0.1:8002/; }``."""
    http = client(database, site=Site(folder))

    def get(path: str) -> Any:
        return http.get(f"{http.base_url}{path}", follow_redirects=False)  # else it would name a host

    assert get("//models").content == PAGE
    assert get("///").content == get("/").content
    assert get("//assets/main-1a2b.js").content == SCRIPT
    assert get("//api/v1/summary").json() == get("/api/v1/summary").json()
    for path in ("//evil.example", "//evil.example/models", "//models/", "/models//"):
        response = get(path)
        assert (response.status_code, response.headers.get("location")) == (404, None)


def test_slashes_are_no_way_around_the_token(database: Database, folder: Path) -> None:
    http = client(database, site=Site(folder), token="secret")
    root = str(http.base_url)
    assert http.get(f"{root}//models").status_code == http.get(f"{root}//health").status_code == 200
    for path in ("//api/v1/summary", "///metrics", "//session", "//docs"):
        assert http.get(root + path).status_code == 401


def test_assets_may_be_kept_for_ever_and_are_compressed_already(database: Database, folder: Path) -> None:
    http = client(database, site=Site(folder))
    for accepted, coding in (("br, gzip", "br"), ("gzip", "gzip"), ("identity", None), ("br;q=0, gzip;q=0.5", "gzip")):
        response = http.get("/assets/main-1a2b.js", headers={"Accept-Encoding": accepted})
        assert response.content == SCRIPT
        assert response.headers.get("content-encoding") == coding
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["vary"] == "Accept-Encoding"


def test_what_the_browser_has_is_not_sent_again(database: Database, folder: Path) -> None:
    http = client(database, site=Site(folder))
    etag = http.get("/").headers["etag"]
    for given, status in same_tags(etag).items():
        assert http.get("/", headers={"If-None-Match": given}).status_code == status, given


def test_nothing_outside_of_the_site_is_served(database: Database, folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("no")
    http = client(database, site=Site(folder))
    for path in ("/../secret.txt", "/assets/../../secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/assets/", "/x.js"):
        assert http.get(path).status_code == 404


def test_an_installation_without_it_says_how_to_build_it(database: Database, tmp_path: Path) -> None:
    assert Site(tmp_path / "missing") == {}
    response = client(database).get("/")
    assert response.status_code == 200
    assert "make dashboard" in response.text


def test_the_smallest_coding_allowed_is_taken() -> None:
    asset = Asset("text/css", '"x"', {"identity": b"12345", "br": b"1", "gzip": b"12"})
    assert coding_for("gzip, br", asset) == "br"
    assert coding_for("", asset) == coding_for("br;q=0.0", asset) == "identity"
    assert coding_for("GZIP;q=0.2", asset) == "gzip"
