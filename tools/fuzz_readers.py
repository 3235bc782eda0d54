"""Feed every reader what no honest server sends, for as long as asked, and print what came of it.

    python -m tools.fuzz_readers --seconds 60            a minute for each reader
    python -m tools.fuzz_readers --seconds 600 --only anthropic --seed 7

Each execution takes a real body, spoils it (bytes changed, cut out, doubled, spliced from other bodies), cuts it into
random pieces and feeds them. A reader must not raise, must answer with ``SAW_*`` bits and facts, and must say the same
of the same bytes under another cut. The first input that breaks this is printed and the program ends with 1.
"""

import argparse
import json
import random
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.wire import aws_messages, bedrock_streams, streams
from tests.wire.apis.test_anthropic import ANSWER as MESSAGE
from tests.wire.apis.test_anthropic_batches import RESULTS
from tests.wire.apis.test_bedrock_invoke import ANSWERS as INVOKED
from tests.wire.apis.test_gemini_interactions import ANSWER as INTERACTION
from tests.wire.apis.test_generate import SGLANG, TGI
from tests.wire.apis.test_koboldcpp import ANSWER as KOBOLD
from tests.wire.apis.test_koboldcpp import STREAM as KOBOLD_STREAM
from tests.wire.apis.test_lmstudio import RESULT as LMSTUDIO
from tests.wire.apis.test_lmstudio import STREAM as LMSTUDIO_STREAM
from tests.wire.apis.test_mistral import STREAM as CONVERSATION
from tests.wire.apis.test_openai_body import CHAT
from tests.wire.apis.test_openai_realtime import CREATED, IN_TOKENS, SOUND, done, failed, heard, told
from tests.wire.apis.test_openai_responses import ANSWER as RESPONSE
from tests.wire.apis.test_openai_responses_session import BEGIN, CLOSING, LIMITS, TURN
from tests.wire.apis.test_openai_responses_session import told as lost
from tests.wire.test_deflate import deflated

from llm_metrics_proxy.wire.apis.anthropic import AnthropicBodyReader
from llm_metrics_proxy.wire.apis.anthropic_batches import BatchResultsReader
from llm_metrics_proxy.wire.apis.bedrock_converse import ConverseBodyReader, ConverseStreamReader
from llm_metrics_proxy.wire.apis.bedrock_invoke import InvokeBodyReader, InvokeStreamReader
from llm_metrics_proxy.wire.apis.cohere import CohereBodyReader, CohereStreamReader
from llm_metrics_proxy.wire.apis.cohere_v1 import CohereV1BodyReader, CohereV1StreamReader
from llm_metrics_proxy.wire.apis.gemini import GeminiArrayReader, GeminiBodyReader
from llm_metrics_proxy.wire.apis.gemini_interactions import InteractionBodyReader
from llm_metrics_proxy.wire.apis.generate import GenerateBodyReader, GenerateStreamReader
from llm_metrics_proxy.wire.apis.google_others import GoogleBodyReader
from llm_metrics_proxy.wire.apis.koboldcpp import KoboldBodyReader, KoboldStreamReader
from llm_metrics_proxy.wire.apis.lmstudio import LmStudioBodyReader, LmStudioStreamReader
from llm_metrics_proxy.wire.apis.mistral import ConversationBodyReader, ConversationStreamReader
from llm_metrics_proxy.wire.apis.ollama import OllamaBodyReader
from llm_metrics_proxy.wire.apis.openai_body import OpenAIBodyReader
from llm_metrics_proxy.wire.apis.openai_realtime import RealtimeReader
from llm_metrics_proxy.wire.apis.openai_responses import ResponsesBodyReader
from llm_metrics_proxy.wire.apis.openai_responses_session import ResponsesSession
from llm_metrics_proxy.wire.apis.other_operations import OtherBodyReader
from llm_metrics_proxy.wire.base import ResponseFacts, ResponseReader
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.first_bytes import FirstBytes

Make = Callable[[], ResponseReader]

_WORDS: Final = [
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\n\n", b"\r\n", b"\r", b"data: ", b"event: error\n",
    b"[DONE]", b"null", b"true", b"1e999", b"-1", b"9" * 400, b"\\ud83d", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8",
    b'"usage":', b'"error":', b'"type":', b'"delta":', b'"done":true', b'"finishReason":', b'"usageMetadata":',
    b"{" * 2000, b"[" * 2000, b"\x81\x7e\xff\xff",
]  # fmt: skip
_MOST_SPOILINGS: Final = 6


class _Framed:
    """Puts each line into a message whose checksums are right: what is spoilt is the payload."""

    def __init__(self, reader: ResponseReader, frame: Callable[[bytes], bytes]) -> None:
        self._reader = reader
        self._frame = frame
        self._held = b""

    def feed(self, data: bytes) -> int:
        *lines, self._held = (self._held + data).split(b"\n")
        seen = 0
        for line in lines:
            seen |= self._reader.feed(self._frame(line))
        return seen

    def finish(self) -> ResponseFacts:
        self._reader.feed(self._frame(self._held))
        return self._reader.finish()


def _payloads(messages: list[bytes]) -> bytes:
    return b"\n".join(message[message.index(b'{"') : -4] for message in messages)


def _inner(messages: list[bytes]) -> bytes:
    return b"\n".join(b64decode(json.loads(payload)["bytes"]) for payload in _payloads(messages).split(b"\n"))


def _json(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


_GENERATED: Final = _json(
    [{"text": "x", "meta_info": {"prompt_tokens": 5, "completion_tokens": 2, "finish_reason": {"type": "stop"}}}] * 2,
    {"generated_text": "x", "details": {"generated_tokens": 2, "prefill": [{"id": 1}], "finish_reason": "length"}},
)


class AnyAnswer:
    """Whoever the first bytes choose, and whether what came was an answer."""

    def __init__(self, dialect: Dialect) -> None:
        self._first = FirstBytes(dialect, 200, b"application/json")

    def feed(self, data: bytes) -> int:
        if self._first.reader is None:
            data = self._first.take(data)
        return 0 if self._first.reader is None else self._first.reader.feed(data)

    def finish(self) -> ResponseFacts:
        reader = self._first.reader or self._first
        return self._first.judge(reader.finish())


_ANY: Final = [
    *(b"".join(events) for _, events in streams.ALL.values()),
    *_json(CHAT, MESSAGE, RESPONSE, {"code": 500, "success": False, "msg": "404 NOT_FOUND"}, [{"error": {"code": 7}}]),
    b"<!doctype html><html><title>Log in</title></html>", b"upstream connect error", b"\xff\xfb\x90\xc4", b"\n\n",
]  # fmt: skip

TARGETS: Final[dict[str, tuple[Make, list[bytes]]]] = {
    **{name: (make, [b"".join(events)]) for name, (make, events) in streams.ALL.items()},
    **{
        f"{name}-small": (lambda make=make: streams.with_bound(make(), 64), [b"".join(events)])  # type: ignore[misc]
        for name, (make, events) in streams.ALL.items()
    },
    "openai-body": (OpenAIBodyReader, _json(CHAT)),
    "openai-body-small": (lambda: OpenAIBodyReader(64), _json(CHAT)),
    "anthropic-body": (AnthropicBodyReader, _json(MESSAGE)),
    "anthropic-body-small": (lambda: AnthropicBodyReader(64), _json(MESSAGE)),
    "ollama-body": (OllamaBodyReader, [streams.OLLAMA[-1]]),
    **{f"any {dialect.name}": (partial(AnyAnswer, dialect), _ANY) for dialect in DIALECTS if dialect.body_reader},
    "responses-body": (ResponsesBodyReader, _json(RESPONSE)),
    "other-body": (OtherBodyReader, _json({"model": "m", "usage": {"input_tokens": 1}, "meta": {"tokens": {}}})),
    "bedrock-converse": (ConverseStreamReader, [b"".join(bedrock_streams.CONVERSE)]),
    "bedrock-converse-body": (ConverseBodyReader, _json(bedrock_streams.CONVERSE_ANSWER)),
    "bedrock-converse-body-small": (lambda: ConverseBodyReader(64), _json(bedrock_streams.CONVERSE_ANSWER)),
    "bedrock-invoke": (
        InvokeStreamReader,
        [b"".join(bedrock_streams.INVOKED_CLAUDE), *(b"".join(each) for each, _ in bedrock_streams.INVOKED.values())],
    ),
    "bedrock-converse-payloads": (
        lambda: _Framed(ConverseStreamReader(), lambda line: aws_messages.message(line, b"")),
        [_payloads(bedrock_streams.CONVERSE)],
    ),
    "bedrock-invoke-chunks": (
        lambda: _Framed(InvokeStreamReader(), aws_messages.chunk),
        [_inner(bedrock_streams.INVOKED_CLAUDE), *(_inner(each) for each, _ in bedrock_streams.INVOKED.values())],
    ),
    "bedrock-invoke-body": (InvokeBodyReader, _json(*(answer for answer, *_ in INVOKED.values()))),
    "bedrock-invoke-body-small": (lambda: InvokeBodyReader(64), _json(*(answer for answer, *_ in INVOKED.values()))),
    "cohere": (CohereStreamReader, [b"".join(bedrock_streams.COHERE)]),
    "cohere-body": (CohereBodyReader, _json(bedrock_streams.COHERE_ANSWER)),
    "cohere-body-small": (lambda: CohereBodyReader(64), _json(bedrock_streams.COHERE_ANSWER)),
    "cohere-v1": (CohereV1StreamReader, [b"".join(bedrock_streams.COHERE_V1)]),
    "cohere-v1-body": (CohereV1BodyReader, _json(bedrock_streams.COHERE_V1_ANSWER)),
    "anthropic-batch": (BatchResultsReader, [b"".join(RESULTS)]),
    "generate": (GenerateStreamReader, [b"".join(SGLANG), b"".join(TGI)]),
    "generate-body": (GenerateBodyReader, _GENERATED),
    "generate-body-small": (lambda: GenerateBodyReader(64), _GENERATED),
    "koboldcpp": (KoboldStreamReader, [b"".join(KOBOLD_STREAM)]),
    "koboldcpp-body": (KoboldBodyReader, _json(KOBOLD)),
    "lmstudio": (LmStudioStreamReader, [b"".join(LMSTUDIO_STREAM)]),
    "lmstudio-body": (LmStudioBodyReader, _json(LMSTUDIO)),
    "conversation": (ConversationStreamReader, [b"".join(CONVERSATION)]),
    "conversation-body": (ConversationBodyReader, _json({"outputs": [{"type": "x"}], "usage": {"prompt_tokens": 5}})),
    "realtime": (RealtimeReader, [CREATED + SOUND + done() + told() + done() + failed()]),
    "gemini-body": (GeminiBodyReader, _json(streams.GEMINI[2])),
    "gemini-body-small": (lambda: GeminiBodyReader(64), _json(streams.GEMINI[2])),
    "gemini-array": (GeminiArrayReader, [b"".join(streams.google_array(*streams.GEMINI))]),
    "interaction-body": (InteractionBodyReader, _json(INTERACTION)),
    "google-body": (GoogleBodyReader, _json({"predictions": [{"embeddings": {"statistics": {"token_count": 6}}}]})),
    "realtime-deflated": (lambda: RealtimeReader(Deflate()), [deflated(CREATED + SOUND + heard(IN_TOKENS) + done())]),
    "responses-session": (ResponsesSession, [LIMITS + TURN + lost() + BEGIN + CLOSING]),
    "responses-session-deflated": (lambda: ResponsesSession(Deflate()), [deflated(LIMITS + TURN + lost() + BEGIN)]),
    "responses-session-deflated-apart": (
        lambda: ResponsesSession(Deflate(server_takeover=False)),
        [deflated(LIMITS + TURN + lost() + BEGIN, takeover=False)],
    ),
    "error-body": (ErrorBodyReader, _json({"error": {"message": "sk-abcdef123456", "code": 7}}, {"detail": [{}]})),
}


def spoilt(dice: random.Random, seeds: list[bytes], others: list[bytes]) -> bytes:
    """A seed with a few things done to it."""
    body = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(0, _MOST_SPOILINGS)):
        at = dice.randint(0, len(body))
        until = min(len(body), at + dice.choice((1, 1, 2, 8, 60, 400)))
        match dice.randint(0, 5):
            case 0:
                del body[at:until]
            case 1:
                body[at:at] = dice.choice(_WORDS)
            case 2:
                body[at:until] = dice.randbytes(until - at)
            case 3:
                body[at:at] = body[at:until]
            case 4:
                other = dice.choice(others)
                start = dice.randint(0, len(other))
                body[at:until] = other[start : start + dice.randint(1, 300)]
            case _:
                del body[at:]
    return bytes(body)


def read(make: Make, body: bytes, dice: random.Random | None) -> tuple[ResponseFacts, bool]:
    """The facts, and whether every answer was one; cut at random, or whole without ``dice``."""
    reader, position, sound = make(), 0, True
    while position < len(body):
        step = len(body) if dice is None else dice.choice((1, 2, 7, 50, 300, 2000))
        seen = reader.feed(body[position : position + step])
        sound = sound and 0 <= seen <= 15
        position += step
    facts = reader.finish()
    return facts, sound and isinstance(facts, ResponseFacts)


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Executions until the time is over. Raises ``AssertionError`` with the input that was read wrongly."""
    make, seeds = TARGETS[name]
    dice = random.Random(f"{seed} {name}")  # noqa: S311 -- the same choices for the same seed
    others = [body for _, bodies in TARGETS.values() for body in bodies]
    executions, deadline = 0, time.monotonic() + seconds
    while not executions or time.monotonic() < deadline:
        for _ in range(50):
            body = spoilt(dice, seeds, others)
            try:
                whole, sound = read(make, body, None)
                cut, also_sound = read(make, body, dice)
            except Exception as error:
                raise AssertionError(f"{name} raised {error!r} for {body!r}") from error
            if not (sound and also_sound and whole == cut):
                raise AssertionError(f"{name} read {body!r} in two ways:\n{whole}\n{cut}")
            executions += 2
    return executions


def main() -> int:
    """Run and print; 1 if a reader was found wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader (default: 60)")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append", help="this reader; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices (default: 0)")
    options = parser.parse_args()
    for name in options.only or TARGETS:
        try:
            executions = fuzz(name, options.seconds, options.seed)
        except AssertionError as failure:
            sys.stderr.write(f"{failure}\n")
            return 1
        sys.stdout.write(f"{name}: {executions} executions in {options.seconds:g} s, none raised or disagreed\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
