"""What docs/topics/backends.md shows works as it stands there."""

import re
from pathlib import Path

from tools import write_docs

from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.processes.options import proxy_options
from llm_metrics_proxy.proxy.choice import eligible
from llm_metrics_proxy.proxy.routing import Backend, backends_of
from llm_metrics_proxy.wire.endpoints import family_of

PAGE = (Path(__file__).parents[1] / "docs" / "topics" / "backends.md").read_text()


def example(folder: Path) -> list[Backend]:
    file = folder / "proxy.toml"
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file.write_text(text)
    loaded = load({}, {"OPENAI_KEY": "sk-1"}, file)
    return backends_of(proxy_options(loaded, backend="", listen_fds=[], worker_index=0, scoreboard_fd=None))


def test_the_example_can_be_loaded(tmp_path: Path) -> None:
    first, second, third = example(tmp_path)
    assert (first.rule.weight, second.rule.weight) == (2, 1)
    assert (first.limits.first_byte_timeout_s, second.limits.first_byte_timeout_s) == (600, 120)
    assert third.address.label == "api.openai.com:443"
    assert third.added == b"OpenAI-Organization: org-example\r\nAuthorization: Bearer sk-1\r\n"
    assert {backend.eject_after for backend in (first, second, third)} == {3}


def test_requests_go_where_the_page_says(tmp_path: Path) -> None:
    rules = [backend.rule for backend in example(tmp_path)]

    def served_by(model: str | None, path: str = "/v1/chat/completions") -> list[str | None]:
        return [rules[index].name for index in eligible(rules, model, family_of(path))]

    assert served_by("llama3.1:8b") == ["gpu-1", "gpu-2"]
    assert served_by("gpt-4o") == ["openai"]
    assert served_by("gpt-4o", "/v1/messages") == []
    assert served_by(None, "/v1/audio/transcriptions") == ["gpu-1", "gpu-2", "openai"]


def test_the_page_lists_the_settings_that_are_read_again() -> None:
    assert write_docs.with_reloaded(PAGE) == PAGE, "run: .venv/bin/python -m tools.write_docs"
    part = PAGE.partition("<!-- reloaded -->")[2].partition("<!-- end of reloaded -->")[0]
    assert re.findall(r"`(\w+)`", part) == sorted(name for name, row in rows().items() if row.reload)
