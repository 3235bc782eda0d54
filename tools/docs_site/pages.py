"""Pages of the repository become pages of the site: other addresses, the same words. Pure but for looking at files.

Links between pages are followed to where those stand in the site; what a link of the repository shows beyond it, a
source or a file of ``contrib/``, the site names instead. GitHub takes a list right after a line of text, where
Python-Markdown wants a blank line between them.
"""

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# What lies beside docs/ in the repository, and where the site has it.
_OF_THE_PROJECT: Final = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "VERSIONING.md": "project/versions.md",
}
# Every word stands in them: they would be found first, whatever is sought.
_NOT_SOUGHT: Final = frozenset({"project/changelog.md", "project/versions.md", "performance-log.md"})
_EXCLUDED: Final = "---\nsearch:\n  exclude: true\n---\n\n"
_FENCED: Final = re.compile(r"^ *(?:```|~~~).*?^ *(?:```|~~~) *$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(
    r"`[^`]*`|(?P<picture>!?)\[(?P<text>(?:[^\]`]|`[^`]*`)*)\]\((?P<to>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)"
)
_PICTURES: Final = re.compile(r"^(?:!\[[^\]]*\]\([^)]*\) *\n)+\n?", re.MULTILINE)
_LIST_AFTER_TEXT: Final = re.compile(r"^(?! *(?:[-*+>|#]|\d+\.|<!--))(\S.*)\n(?=(?:[-*+]|\d+\.) )", re.MULTILINE)


class AstrayError(ValueError):
    """A link that leads nowhere. The message says which, and where it stands."""


def places(root: Path) -> dict[str, str]:
    """Every page of the repository that the site has, and where: paths from ``root`` and from the site's."""
    docs = root / "docs"
    found = {f"docs/{path.relative_to(docs)}": str(path.relative_to(docs)) for path in sorted(docs.rglob("*.md"))}
    return {**found, **_OF_THE_PROJECT}


def page_of(text: str, source: str, known: Mapping[str, str], root: Path, *, with_pictures: bool) -> str:
    """A page as the site shows it; ``source`` is where it lies in the repository. Raises ``AstrayError``."""
    if not with_pictures:
        text = _PICTURES.sub("", text)
    parts, at = [], 0
    for fenced in _FENCED.finditer(text):
        parts += [_prose(text[at : fenced.start()], source, known, root), fenced[0]]
        at = fenced.end()
    head = _EXCLUDED if known[source] in _NOT_SOUGHT else ""
    return "".join([head, *parts, _prose(text[at:], source, known, root)])


def _prose(text: str, source: str, known: Mapping[str, str], root: Path) -> str:
    text = _LIST_AFTER_TEXT.sub(r"\1\n\n", text)
    return _LINK.sub(lambda link: _followed(link, source, known, root), text)


def _followed(link: re.Match[str], source: str, known: Mapping[str, str], root: Path) -> str:
    """One link, or a piece of code, which stays as it is."""
    to = link["to"]
    if not to or ":" in to:
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), to))
    here = posixpath.dirname(known[source])
    if target == "README.md":
        return f"[{link['text']}]({posixpath.relpath('index.md', here or '.')})"
    if link["picture"]:
        if not (root / target).is_file():
            raise AstrayError(f"{source} shows {to}, which is not there")
        return f"![{link['text']}]({posixpath.relpath(target, f'docs/{here}')}{_by_theme(root / target)})"
    page = target if target in known else f"{target}/README.md"
    if page in known:
        return f"[{link['text']}]({posixpath.relpath(known[page], here or '.')}{link['anchor'] or ''})"
    if not (root / target).exists():
        raise AstrayError(f"{source} links to {to}, which is not there")
    return f"`{target}`" if link["text"].strip("`") in target else f"{link['text']} (`{target}`)"


def _by_theme(picture: Path) -> str:
    """Of a pair, the one that fits the reader's theme is shown."""
    for theme, other in (("light", "dark"), ("dark", "light")):
        if picture.stem.endswith(f"-{theme}"):
            beside = picture.with_name(f"{picture.stem.removesuffix(theme)}{other}{picture.suffix}")
            return f"#only-{theme}" if beside.is_file() else ""
    return ""
