"""What the dashboard says, in all languages."""

import json
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parents[1] / "dashboard" / "src" / "i18n" / "words"


def messages() -> dict[str, dict[str, str]]:
    """By key and language."""
    files: list[dict[str, Any]] = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(_FOLDER.iterdir())]
    return {key: said for file in files for key, said in file.items()}
