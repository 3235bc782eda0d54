"""Write the English column of the program's own texts that the dashboard shows in its reader's language.

    python -m tools.dashboard_words dashboard/src/i18n

Each file has one row per text, by the name that the API gives it, with all languages side by side. A new text gets a
row with English alone. Where the program's English changed, the row loses its translations, because they say what the
program no longer means; the difference of the file shows translators both. Rows of texts that are gone go.
``tests/architecture/test_dashboard_words.py`` fails until every row is said in every language.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.config import table
from llm_metrics_proxy.wire.error_types import CATEGORIES, OUTCOMES, PHASES, TAXONOMY

LANGUAGES: Final = ("en", "de", "fr", "es", "ja", "ko", "zh", "ru")
# The first figures of the page, which say on request what they are (`FIGURES` in `views/cards.ts`).
FIGURES: Final = (
    "requests", "success_rate", "time_to_first_token_ms.p50", "response_time_ms.p95", "output_tokens_per_second.p50",
    "total_tokens", "cache_hit_ratio", "cost_usd",
)  # fmt: skip
_VALUES: Final = {"outcome": OUTCOMES, "error_category": CATEGORIES, "error_phase": PHASES}


def settings_texts() -> dict[str, str]:
    """What the settings mean, and what their groups are called."""
    rows = table.rows().values()
    return {f"group.{row.group}": row.group for row in rows} | {f"setting.{row.name}": row.meaning for row in rows}


def error_texts() -> dict[str, str]:
    """What the error types mean, and what to do about them."""
    return {
        f"{kind}.{row.category}/{row.type}": text
        for row in TAXONOMY
        for kind, text in (("meaning", row.meaning), ("advice", row.advice))
    }


def terms() -> dict[str, str]:
    """The values of columns that have a few of the program's own, and what the first figures mean."""
    values = {f"term.{column}.{one}": one.replace("_", " ") for column, known in _VALUES.items() for one in known}
    return values | {f"hint.{name}": measure(name).meaning for name in FIGURES}


def program_texts() -> dict[str, dict[str, str]]:
    """File below ``i18n`` to key to the program's English."""
    return {"lazy/settings.json": settings_texts(), "lazy/errors.json": error_texts(), "words/terms.json": terms()}


def renewed(rows: Mapping[str, Mapping[str, str]], texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The rows of a file, in the order of the texts."""
    return {key: dict(row) if (row := rows.get(key, {})).get("en") == en else {"en": en} for key, en in texts.items()}


def read(path: Path) -> dict[str, dict[str, str]]:
    """The rows of a file; none if there is no file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def written(rows: Mapping[str, Mapping[str, str]]) -> str:
    """The file."""
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"


def faults(rows: Mapping[str, Mapping[str, str]], texts: Mapping[str, str]) -> list[str]:
    """What keeps a reader from their language, a sentence each."""
    found = [f"{key}: no text of the program has this name" for key in rows if key not in texts]
    for key, english in texts.items():
        row = rows.get(key, {})
        found += [f"{key}: not said in {language}" for language in LANGUAGES if not row.get(language)]
        if row.get("en") not in (None, english):
            found.append(f"{key}: the program says {english!r} now")
    return found


if __name__ == "__main__":
    (folder,) = sys.argv[1:]
    for name, texts in program_texts().items():
        path = Path(folder) / name
        path.write_text(written(renewed(read(path), texts)), encoding="utf-8")
