"""Where each page stands: the four kinds of Diátaxis, each with its pages in the order in which people need them.

A pattern with ``*`` takes whatever no other entry names, in alphabetical order, and may find nothing.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple


class Shelf(NamedTuple):
    """Pages under one heading, by their paths in the site."""

    title: str
    entries: tuple[str, ...]


HOME: Final = "index.md"
SHELVES: Final = (
    Shelf("Tutorial", ("tutorial/first-hour.md", "tutorial/*.md")),
    Shelf(
        "How-to",
        (
            "howto/install*.md", "howto/run-as-a-service.md", "howto/container*.md", "howto/kubernetes*.md",
            "howto/behind-a-reverse-proxy.md", "topics/many-hosts.md", "topics/clickhouse.md",
            "howto/upgrade-and-undo.md", "howto/air-gapped.md", "howto/coding-agents.md", "topics/clients.md",
            "howto/notebooks.md", "howto/export-and-report.md", "topics/backends.md", "topics/browsers.md",
            "topics/monitoring.md", "topics/slos-and-alerts.md", "topics/debugging.md", "howto/*.md",
        ),
    ),
    Shelf(
        "Reference",
        (
            "settings.md", "reference/commands.md", "reference/api.md", "metrics.md", "topics/errors.md",
            "topics/dialects.md", "topics/limits.md", "topics/servers.md", "dashboard.md", "reference/*.md",
            "glossary.md", "project/changelog.md", "project/versions.md",
        ),
    ),
    Shelf(
        "Explanation",
        (
            "architecture.md", "topics/metrics-explained.md", "topics/identity.md", "topics/sessions.md",
            "topics/analytics.md", "topics/cost.md", "topics/rollups.md", "topics/migrations.md", "performance.md",
            "performance-log.md", "comparison.md", "topics/*.md", "project/security.md", "dependencies.md",
        ),
    ),
    Shelf("Decisions", ("decisions/README.md", "decisions/*.md")),
    Shelf(
        "Contributing",
        ("project/contributing.md", "howto/first-change.md", "howto/extend.md", "howto/add-a-version.md"),
    ),
)  # fmt: skip


class MisplacedError(ValueError):
    """A page that stands nowhere, or an entry without its page. The message names them."""


def arranged(pages: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Every page but the first one, under its heading. Raises ``MisplacedError``."""
    named = {entry for shelf in SHELVES for entry in shelf.entries if "*" not in entry}
    if missing := named - set(pages):
        raise MisplacedError(f"tools/docs_site/shelves.py names pages that are not there: {sorted(missing)}")
    left = sorted(set(pages) - named - {HOME})
    found = []
    for shelf in SHELVES:
        here: list[str] = []
        for entry in shelf.entries:
            here += [page for page in left if fnmatchcase(page, entry)] if "*" in entry else [entry]
            left = [page for page in left if page not in here]
        found.append((shelf.title, here))
    if left:
        raise MisplacedError(f"these pages are on no shelf of tools/docs_site/shelves.py: {left}")
    return found
