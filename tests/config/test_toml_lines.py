"""On which line a key stands."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.config.toml_lines import TomlLines

TEXT = """\
port = 1
# port = 2
"host" = "h"  # [[backends]]
trusted_proxies = [
  "a",
]

[[backends]]
name = "a"
  url = "u"

[[ backends ]]
url = "v"
add_headers = { "X-A" = "1" }
models = [
  "m",
]

[[backends]]
[backends.add_headers]
X-B = "2"

[server]
port = 9
"""


def test_keys_and_tables_are_found() -> None:
    lines = TomlLines(TEXT)
    tomllib.loads(TEXT)
    assert [lines.of(key) for key in ("port", "host", "trusted_proxies", "backends", "server", "name")] == [
        1, 3, 4, 8, 23, None,
    ]  # fmt: skip


def test_keys_of_the_tables_of_an_array_are_found() -> None:
    lines = TomlLines(TEXT)
    assert lines.of_table("backends", 0, None) == 8
    assert lines.of_table("backends", 0, "url") == 10
    assert lines.of_table("backends", 1, "url") == 13
    assert lines.of_table("backends", 1, "models") == 15
    assert lines.of_table("backends", 1, "name") == 12  # it is missing: the table's line
    assert lines.of_table("backends", 2, "add_headers") == 20
    assert lines.of_table("backends", 3, "url") == 8
    assert lines.of_table("other", 0, "url") is None


@given(st.text("a=[].\"' \n#", max_size=60))
def test_whatever_is_written_there_is_a_line_or_none(text: str) -> None:
    line = TomlLines(text).of("a")
    assert line is None or "a" in text.splitlines()[line - 1]
