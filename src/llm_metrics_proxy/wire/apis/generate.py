"""``/generate`` and its like: the servers' own text generation, told apart by the shape of what they answer.

Sources: SGLang's "Native APIs" (LMDeploy answers alike), TGI's API reference and ``router/src/server.rs``, Triton's
"Generate Extension", vLLM's ``/inference/v1/generate``. What each calls things:

    SGLang   text, meta_info            a list of answers for several prompts; in a stream, ``index`` says which one
    TGI      generated_text, details    ``details`` only if asked for; a stream has one ``token`` an event
    Triton   text_output                reports no counts, and no end of a stream; names the model in the path
    vLLM     choices[].token_ids, usage

SGLang's stream repeats the whole text so far, unless its server was told otherwise.
"""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.answer_list import AnswerListReader
from llm_metrics_proxy.wire.apis.openai_usage import read_usage
from llm_metrics_proxy.wire.apis.other_operations import SOUND
from llm_metrics_proxy.wire.base import SAW_VISIBLE, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect, Family
from llm_metrics_proxy.wire.error_body import error_facts, error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.head_counts import head_tokens
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import sglang_times
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports, members_given, summed

_META_COUNTS: Final = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "spec_verify_ct")
_MOST_ANSWERS: Final = 4096  # of one stream; of further ones nothing is kept


class _Sampling(msgspec.Struct):
    """``parameters`` (TGI, Triton) or ``sampling_params`` (SGLang, vLLM)."""

    max_new_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    best_of: int | None = None


class GenerateRequest(ModelRequest):
    """One of any of these servers."""

    always_streams: ClassVar[bool] = False
    inputs: msgspec.Raw = MISSING  # TGI
    text: msgspec.Raw = MISSING  # SGLang, or as numbers in input_ids
    input_ids: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING  # vLLM, or as numbers in token_ids
    token_ids: msgspec.Raw = MISSING
    text_input: msgspec.Raw = MISSING  # Triton
    input: msgspec.Raw = MISSING  # vLLM's pooling and classify
    parameters: _Sampling | None = None
    sampling_params: _Sampling | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None

    def facts(self) -> RequestFacts:
        asked = self.parameters or self.sampling_params or _Sampling()
        prompts = (self.inputs, self.text, self.input_ids, self.prompt, self.token_ids, self.text_input, self.input)
        limits = (asked.max_new_tokens, asked.max_tokens, self.max_tokens)
        return self._facts(
            is_streaming=self.always_streams or self.stream is True,
            max_tokens=next((limit for limit in limits if limit is not None), None),
            temperature=self.temperature if asked.temperature is None else asked.temperature,
            top_p=self.top_p if asked.top_p is None else asked.top_p,
            message_count=next((count_prompts(prompt) for prompt in prompts if prompt is not MISSING), None),
            choice_count=asked.n if asked.best_of is None else asked.best_of,
        )


class GenerateStreamRequest(GenerateRequest):
    """At a path of its own for streams."""

    always_streams: ClassVar[bool] = True


class _Token(msgspec.Struct, gc=False):
    text: Any = None
    special: Any = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    token_ids: Any = None  # only whether there are any matters


class _Details(msgspec.Struct, gc=False):
    """TGI's; counts and the list of the prompt's tokens, which is there if asked for."""

    finish_reason: str | None = None
    generated_tokens: Any = None
    input_length: Any = None
    prefill: msgspec.Raw = MISSING
    best_of_sequences: Any = None


class _Generated(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one."""

    text: Any = None
    output_ids: Any = None  # SGLang without a tokenizer
    meta_info: Any = None
    index: Any = None
    token: _Token | None = None
    generated_text: Any = None
    details: _Details | None = None
    text_output: Any = None
    model_name: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    model: str | None = None
    request_id: Any = None
    id: Any = None
    error: Any = None
    error_type: Any = None


def generate_tokens(reports: Reports) -> Usage:
    """Each answer has reported its own prompt, so that of several answers to one prompt each counts it."""
    return head_tokens(reports, _body_tokens(reports))


def _body_tokens(reports: Reports) -> Usage:
    if "usage" in reports:
        return read_usage(reports["usage"])
    if "meta_info" in reports:
        meta = summed(reports, "meta_info")
        return usage_of(
            prompt=meta.get("prompt_tokens"),
            completion=meta.get("completion_tokens"),
            cached=meta.get("cached_tokens"),
            reasoning=meta.get("reasoning_tokens"),
        )
    details = summed(reports, "details")
    prompt = details.get("input_length")
    return usage_of(
        prompt=details.get("prefill") if prompt is None else prompt, completion=details.get("generated_tokens")
    )


def _reports(answers: Iterable[_Generated]) -> UsageReports:
    reports = UsageReports()
    for answer in answers:
        reports.take("usage", answer.usage)
        if isinstance(answer.meta_info, dict):
            meta = answer.meta_info
            reports.add("meta_info", {name: meta[name] for name in _META_COUNTS if meta.get(name) is not None} or None)
        elif answer.details is not None:
            reports.add("details", _counts_of(answer.details))
    return reports


def _counts_of(details: _Details) -> dict[str, Any] | None:
    """``best_of_sequences`` are the answers that were generated too, and not chosen."""
    generated, others = details.generated_tokens, details.best_of_sequences
    if type(generated) is int and isinstance(others, list):
        also = [each.get("generated_tokens") for each in others if isinstance(each, dict)]
        generated += sum(count for count in also if type(count) is int and count > 0)
    prefill = count_items(details.prefill)
    return members_given(generated_tokens=generated, input_length=details.input_length, prefill=prefill or None)


def _finish(answer: _Generated) -> tuple[str | None, ErrorFacts | None]:
    """Why an answer ended. SGLang ends one that failed with a reason of type ``abort`` and says more beside it."""
    reason = answer.meta_info.get("finish_reason") if isinstance(answer.meta_info, dict) else None
    if isinstance(reason, dict):
        kind, error = cut(reason.get("type")), None
        if kind == "abort" and reason.get("message"):
            code = reason.get("status_code")
            error = error_facts({"message": reason["message"], "type": reason.get("err_type"), "code": code})
        return kind, error
    if answer.details is not None:
        return cut(answer.details.finish_reason), None
    given = (choice.finish_reason for choice in answer.choices or () if choice.finish_reason)
    return cut(next(given, reason)), None


def _error(answer: _Generated) -> ErrorFacts | None:
    if answer.error:
        return error_in_body({"error": answer.error, "error_type": answer.error_type}) or ErrorFacts()
    return _finish(answer)[1]


def _facts(answers: Sequence[_Generated], **ends: Any) -> ResponseFacts:
    ids = [
        answer.meta_info.get("id") if isinstance(answer.meta_info, dict) else answer.request_id for answer in answers
    ]
    metas = [answer.meta_info for answer in answers if isinstance(answer.meta_info, dict)]
    models = (cut(answer.model) or cut(answer.model_name) for answer in answers)
    return response_facts(
        response_model=next((model for model in models if model), None),
        finish_reason=next((reason for reason, _ in map(_finish, answers) if reason), None),
        reports=_reports(answers),
        response_id=short_text(ids[0]) if ids else None,
        times=sglang_times(metas),
        **ends,
    )


class GenerateBodyReader(AnswerListReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Generated

    def error_of(self, answer: _Generated) -> ErrorFacts | None:
        return _error(answer)

    def facts_of_all(self, answers: Sequence[_Generated], **ends: Any) -> ResponseFacts:
        return _facts(answers, **ends)


class GenerateStreamReader(EventReader):
    """Keeps the newest report of each answer, and how far its text had come."""

    __slots__ = ("_answers",)

    kind: ClassVar[type[msgspec.Struct]] = _Generated

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[Any, _Generated] = {}

    def read(self, event: _Generated) -> int:
        error = _error(event)
        if error is not None:
            self._keep(event)
            return self.error_seen(error)
        seen = SAW_VISIBLE if self._is_output(event) else 0
        self._keep(event)
        if event.generated_text is not None or event.text_output is not None or _finish(event)[0]:
            return seen | self.end_seen()
        return seen

    def facts(self, **ends: Any) -> ResponseFacts:
        return _facts(list(self._answers.values()), **ends)

    def _is_output(self, event: _Generated) -> bool:
        if event.token is not None:
            return bool(event.token.text) and event.token.special is not True
        if event.choices is not None:
            return any(choice.token_ids for choice in event.choices)
        before = self._answers.get(_which(event))
        text = event.text or event.output_ids
        return bool(event.text_output or (text and (before is None or text != (before.text or before.output_ids))))

    def _keep(self, event: _Generated) -> None:
        which = _which(event)
        before = self._answers.get(which)
        if before is None:
            if len(self._answers) < _MOST_ANSWERS:
                self._answers[which] = event
            return
        for name in ("text", "output_ids", "meta_info", "details", "usage", "model", "model_name", "request_id"):
            value = getattr(event, name)
            if value is not None:
                setattr(before, name, value)
        if any(choice.finish_reason for choice in event.choices or ()):
            before.choices = event.choices


def _which(event: _Generated) -> int:
    """The answer that an event belongs to. TGI's ``index`` counts tokens."""
    return event.index if event.meta_info is not None and type(event.index) is int else 0


GENERATE: Final = Dialect(
    name="generate",
    operation="text_completion",
    paths=("/generate", "/inference/v1/generate"),
    provider=None,
    read_request=GenerateRequest.read,
    stream_reader=GenerateStreamReader,
    body_reader=GenerateBodyReader,
    tokens=generate_tokens,
    counts_in_head=True,
    signs=("text", "generated_text", "text_output", "choices", "meta_info", "["),
)
GENERATE_STREAM: Final = msgspec.structs.replace(
    GENERATE, name="generate_stream", paths=("/generate_stream",), read_request=GenerateStreamRequest.read
)
TRITON_GENERATE: Final = msgspec.structs.replace(
    GENERATE,
    name="triton_generate",
    paths=("/v2/models/*/generate", "/v2/models/*/versions/*/generate"),
    counts_in_head=False,
)
TRITON_STREAM: Final = msgspec.structs.replace(
    TRITON_GENERATE,
    name="triton_generate_stream",
    paths=("/v2/models/*/generate_stream", "/v2/models/*/versions/*/generate_stream"),
    read_request=GenerateStreamRequest.read,
)
# TGI's oldest path, which Hugging Face's Inference Endpoints still have; a GET of it belongs to no API.
GENERATE_ROOT: Final = msgspec.structs.replace(GENERATE, name="generate_root", paths=("/",), family=None)
ENCODE: Final = msgspec.structs.replace(
    GENERATE,
    name="encode",
    operation="embeddings",
    paths=("/encode",),
    stream_reader=None,
    has_output=False,
    signs=("embedding", "data", "scores", "meta_info", "["),
    raw=SOUND,  # and numbers as bytes, if asked for so
)
# vLLM's and SGLang's, which answers as its /encode does; and Cohere's, which counts classifications and no tokens.
CLASSIFY: Final = msgspec.structs.replace(
    ENCODE, name="classify", operation="classification", paths=("classify",), family=Family.SHARED,
    signs=(*ENCODE.signs, "classifications"),
)  # fmt: skip
SCORE: Final = msgspec.structs.replace(ENCODE, name="score", operation="score", paths=("score",))
POOLING: Final = msgspec.structs.replace(ENCODE, name="pooling", operation="embeddings", paths=("pooling",))
DIALECTS: Final = (
    CLASSIFY,
    SCORE,
    POOLING,
    GENERATE,
    GENERATE_STREAM,
    GENERATE_ROOT,
    TRITON_GENERATE,
    TRITON_STREAM,
    ENCODE,
)
