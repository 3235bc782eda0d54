from html.parser import HTMLParser

from llm_metrics_proxy.api.docs_page import render
from llm_metrics_proxy.api.docs_parts import SCRIPT, source_of
from llm_metrics_proxy.record import COLUMNS
from tests.analytics.database import Database
from tests.api.service import client

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Collects text, links and ids, and checks that every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_shows_every_path_parameter_and_column(database: Database) -> None:
    http = client(database)
    page = Page(http.get("/docs").text)
    document = http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        assert path in page.words
        for parameter in operations["get"].get("parameters", []):
            assert parameter["name"] in page.words
    for column in COLUMNS:
        assert column in page.words


def test_the_page_needs_nothing_from_anywhere_and_its_parts_are_allowed_by_their_hashes(database: Database) -> None:
    response = client(database).get("/docs")
    page = Page(response.text)
    for name, value in page.attributes:
        assert name not in ("src", "style")
        assert not name.startswith("on")
        assert not (value or "").startswith(("http:", "https:", "//"))
    policy = dict(rule.strip().split(" ", 1) for rule in response.headers["content-security-policy"].split(";"))
    for tag in ("style", "script"):
        assert page.tags.count(tag) == 1
        text = response.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert policy[f"{tag}-src"] == source_of(text)
    assert policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["form-action"] == "'none'"
    assert response.headers["content-type"].startswith("text/html")


def test_every_path_that_is_read_can_be_tried_with_a_field_for_each_parameter(database: Database) -> None:
    http = client(database)
    page = Page(http.get("/docs").text)
    document = http.get("/openapi.json").json()
    assert [value for name, value in page.attributes if name == "data-path"] == list(document["paths"])
    fields = [one["name"] for path in document["paths"].values() for one in path["get"].get("parameters", [])]
    assert [value for name, value in page.attributes if name == "name" and value != "viewport"] == fields


def test_its_address_and_its_paths_hold_below_any_prefix(database: Database) -> None:
    http = client(database)
    links = [value for name, value in Page(http.get("/docs").text).attributes if name == "href" and value]
    assert not any(link.startswith("/") for link in links)
    assert http.get("/openapi.json").json()["servers"] == [{"url": "."}]  # of the document's own address


def test_links_within_the_page_lead_somewhere(database: Database) -> None:
    page = Page(client(database).get("/docs").text)
    targets = {value for name, value in page.attributes if name == "id"}
    links = {value[1:] for name, value in page.attributes if name == "href" and value and value.startswith("#")}
    assert "Summary" in links
    assert links <= targets


def test_what_a_document_says_is_text_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    document = {
        "info": {"title": hostile, "version": "1", "description": hostile},
        "paths": {
            f"/{hostile}": {
                "get": {
                    "summary": hostile,
                    "parameters": [{"name": hostile, "schema": {"type": hostile, "enum": [hostile]}}],
                    "responses": {"200": {"description": hostile}},
                }
            }
        },
        "components": {"schemas": {hostile: {"properties": {hostile: {"x-unit": hostile, "description": hostile}}}}},
    }
    page = Page(render(document))
    assert page.tags.count("script") == 1  # our own
    assert page.words.count(SCRIPT) == 1
    assert page.words.count(hostile) >= 9
