"""The vendors' own clients through the proxy: each gets its answer, and its record has model, tokens and TTFT."""

from collections.abc import Iterator

import pytest
from tools.try_clients import PYTHON, handler, tried

from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream

pytestmark = pytest.mark.system

# Of those that ``tools.try_clients`` knows, the ones that are installed for the tests, with what they call themselves.
INSTALLED = {
    "openai, chat": ("openai_chat", "OpenAI/Python"),
    "openai, responses": ("openai_responses", "OpenAI/Python"),
    "anthropic": ("anthropic_messages", "Anthropic/Python"),
    "ollama": ("ollama_chat", "ollama-python"),
    "langchain-openai": ("openai_chat", "OpenAI/Python"),
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    with FakeUpstream(handler) as upstream, ProxyWorker(tmp_path_factory.mktemp("clients"), upstream.url) as worker:
        yield worker
        worker.assert_every_request_has_one_record()


@pytest.mark.parametrize("name", INSTALLED)
def test_a_client_is_answered_and_its_record_is_rich(proxy: ProxyWorker, name: str) -> None:
    [client] = [each for each in PYTHON if each.name == name]
    word, record = tried(client, proxy)
    assert (word, record is not None) == ("ok", True)
    assert record is not None
    assert record.dialect == INSTALLED[name][0]
    assert (record.user_agent or "").startswith(INSTALLED[name][1])


def test_a_client_that_is_not_there_is_said_to_be_so(proxy: ProxyWorker) -> None:
    [client] = [each for each in PYTHON if each.name == "aider"]
    assert tried(client._replace(code="import no_such_client"), proxy) == ("not installed", None)
    word, record = tried(client._replace(code="print('Hello')"), proxy)
    assert (word.startswith("WRONG"), record) == (True, None)
