"""The text generation of SGLang, TGI, Triton and vLLM, told apart by what they answer."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.generate import (
    GENERATE,
    GENERATE_STREAM,
    GenerateBodyReader,
    GenerateStreamReader,
)
from llm_metrics_proxy.wire.base import SAW_TERMINAL, SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from tests.wire.counted import Read, counted
from tests.wire.cuts import three_ways
from tests.wire.streams import compact, facts_of

DONE = b"data: [DONE]\n\n"


def event(**members: Any) -> bytes:
    return b"data: " + compact(members) + b"\n\n"


def meta(completion: int, finish: object = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "a1", "finish_reason": finish, "prompt_tokens": 5, "weight_version": "default", "cached_tokens": 3,
        "completion_tokens": completion, "e2e_latency": 0.25, **more,
    }  # fmt: skip


LENGTH = {"type": "length", "length": 2}
SGLANG = [
    event(text="", output_ids=[], meta_info=meta(0)),
    event(text="Hi", output_ids=[1], meta_info=meta(1)),
    event(text="Hi!", output_ids=[1, 2], meta_info=meta(2, LENGTH)),
    DONE,
]
SGLANG_FACTS: dict[str, Any] = {
    "finish_reason": "length", "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cached_tokens": 3,
    "usage_source": UsageSource.REPORTED, "response_id": "a1", "further": {"server_total_ms": 250.0}, "terminal": True,
}  # fmt: skip


def token(number: int, text: str, *, special: bool = False, **more: Any) -> bytes:
    said = {"id": number, "text": text, "logprob": -0.5, "special": special}
    return event(index=number, token=said, **{"generated_text": None, "details": None, **more})


DETAILS = {"finish_reason": "eos_token", "generated_tokens": 3, "input_length": 5, "seed": None}
TGI = [token(1, "Hi"), token(2, "!"), token(3, "</s>", special=True, generated_text="Hi!", details=DETAILS)]
TGI_FACTS: dict[str, Any] = {
    "finish_reason": "eos_token", "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
    "usage_source": UsageSource.REPORTED, "terminal": True,
}  # fmt: skip
VLLM_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_a_stream_of_sglang_repeats_its_text_and_ends_with_the_counts() -> None:
    assert facts_of(GenerateStreamReader, *SGLANG) == Read(content_chunks=2, **SGLANG_FACTS)


def test_a_stream_of_sglang_for_several_prompts_is_summed() -> None:
    found = facts_of(
        GenerateStreamReader,
        event(text="A", index=0, meta_info=meta(1)),
        event(text="B", index=1, meta_info=meta(1, e2e_latency=0.5)),
        event(text="AA", index=0, meta_info=meta(2, LENGTH)),
        event(text="BBB", index=1, meta_info=meta(3, {"type": "stop", "matched": 2})),
        DONE,
    )
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (10, 5, 6)
    assert (found.finish_reason, found.content_chunks, found.terminal) == ("length", 4, True)


def test_text_that_did_not_grow_is_no_token() -> None:
    reader = GenerateStreamReader()
    first, again = event(text="Hi", meta_info=meta(1)), event(text="Hi", meta_info=meta(2))
    assert [reader.feed(piece) for piece in (first, again)] == [SAW_VISIBLE, 0]


def test_a_stream_of_sglang_that_breaks_off_keeps_its_running_counts() -> None:
    found = facts_of(GenerateStreamReader, *SGLANG[:2])
    assert (found.prompt_tokens, found.completion_tokens, found.terminal) == (5, 1, False)


def test_a_stream_of_tgi() -> None:
    assert facts_of(GenerateStreamReader, *TGI) == Read(content_chunks=2, **TGI_FACTS)


def test_a_stream_of_tgi_without_details_ends_without_counts() -> None:
    found = facts_of(GenerateStreamReader, *TGI[:2], token(3, "", special=True, generated_text="Hi!"))
    assert found == Read(content_chunks=2, terminal=True)


@pytest.mark.parametrize(
    ("piece", "bits"),
    [(TGI[0], SAW_VISIBLE), (TGI[2], SAW_TERMINAL), (token(1, "</s>", special=True), 0), (token(1, ""), 0),
     (event(model_name="ensemble", text_output="Hi"), SAW_VISIBLE | SAW_TERMINAL),
     (event(request_id="g", choices=[{"index": 0, "token_ids": [7]}]), SAW_VISIBLE)],
)  # fmt: skip
def test_what_one_event_shows(piece: bytes, bits: int) -> None:
    assert GenerateStreamReader().feed(piece) == bits


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ({"text": "Hi!", "output_ids": [1, 2], "meta_info": meta(2, LENGTH)}, SGLANG_FACTS),
        ({"generated_text": "Hi!", "details": {**DETAILS, "tokens": [{"id": 1, "text": "Hi", "special": False}]}},
         TGI_FACTS),
        ({"generated_text": "Hi!", "details": {**DETAILS, "input_length": None, "prefill": [{"id": n} for n in "abcde"],
                                               "best_of_sequences": [{"generated_tokens": 4}]}},
         {**TGI_FACTS, "completion_tokens": 7, "total_tokens": 12}),
        ({"generated_text": "Hi!"}, {"terminal": True}),
        ({"model_name": "ensemble", "model_version": "1", "text_output": "Hi"},
         {"response_model": "ensemble", "terminal": True}),
        ({"request_id": "g", "choices": [{"index": 0, "finish_reason": "length", "token_ids": [2, 3]}],
          "usage": VLLM_USAGE},
         {"response_id": "g", "finish_reason": "length", "usage_source": UsageSource.REPORTED, "terminal": True,
          **VLLM_USAGE}),
        ({"text": ["a prompt and more"]}, {"terminal": True}),  # older vLLM
    ],
)  # fmt: skip
def test_whole_answers_alone_or_in_a_list(answer: dict[str, Any], facts: dict[str, Any], as_list: bool) -> None:
    body = json.dumps([answer] if as_list else answer).encode()
    assert facts_of(GenerateBodyReader, body) == Read(**facts)


def test_a_list_of_answers_is_summed_small_or_large() -> None:
    long = "x" * 50_000
    answers = [{"text": long, "meta_info": meta(n, LENGTH, e2e_latency=float(n))} for n in range(1, 11)]
    body = json.dumps(answers).encode()
    assert len(body) > 256 * 1024
    for whole in (body, json.dumps([{**each, "text": "x"} for each in answers]).encode()):
        found = facts_of(GenerateBodyReader, whole)
        assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (50, 55, 30)
        assert found.further == {"server_total_ms": 10_000.0}
        assert found.terminal
        assert not found.malformed


def test_a_list_that_breaks_off_keeps_the_answers_that_came() -> None:
    body = json.dumps([{"text": "x", "meta_info": meta(2, LENGTH)}] * 2).encode()
    found = facts_of(GenerateBodyReader, body[:-20])
    assert (found.prompt_tokens, found.terminal, found.malformed) == (10, False, False)


@pytest.mark.parametrize("body", [b"[]", b"[[0.1, 0.2], [0.3]]", b"[0.5]", b'["x"]'])
def test_an_array_of_anything_else_says_nothing(body: bytes) -> None:
    assert facts_of(GenerateBodyReader, body) == Read(terminal=True)


ABORT = {"type": "abort", "message": "Input is too long", "status_code": 400, "err_type": "BadRequestError"}


@pytest.mark.parametrize(
    ("events", "code", "kind", "message"),
    [
        ([token(1, "Hi"), event(error="Request failed during generation", error_type="generation")],
         None, "generation", "Request failed during generation"),
        ([event(error={"message": "Input is too long", "type": "BadRequestError", "code": 400}), DONE],
         "400", "BadRequestError", "Input is too long"),
        ([event(text="", meta_info=meta(0, ABORT))], "400", "BadRequestError", "Input is too long"),
        ([event(error="[400] the model broke")], None, None, "[400] the model broke"),  # Triton
    ],
)  # fmt: skip
def test_errors_in_a_stream(events: list[bytes], code: str | None, kind: str | None, message: str) -> None:
    error = facts_of(GenerateStreamReader, *events).error
    assert error is not None
    assert (error.code, error.type, error.message) == (code, kind, message)


def test_an_answer_that_was_aborted_is_an_error_and_one_that_its_client_left_is_not() -> None:
    failed = facts_of(GenerateBodyReader, compact([{"text": "", "meta_info": meta(0, ABORT)}]))
    assert failed.error is not None
    assert (failed.error.type, failed.finish_reason) == ("BadRequestError", "abort")
    assert facts_of(GenerateBodyReader, compact({"text": "", "meta_info": meta(0, {"type": "abort"})})).error is None


def test_a_count_that_cannot_be_one_is_refused_of_one_answer_too() -> None:
    answers = [{"text": "x", "meta_info": meta(2)}, {"text": "x", "meta_info": {**meta(2), "prompt_tokens": -1}}]
    found = facts_of(GenerateBodyReader, compact(answers))
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (None, 4, True)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"inputs": "x", "parameters": {"max_new_tokens": 20, "temperature": 0.7, "top_p": 0.9, "best_of": 2}},
         {"max_tokens": 20, "temperature": 0.7, "top_p": 0.9, "message_count": 1, "choice_count": 2}),
        ({"text": ["a", "b"], "sampling_params": {"max_new_tokens": 5, "n": 3}, "stream": True},
         {"max_tokens": 5, "message_count": 2, "choice_count": 3, "is_streaming": True}),
        ({"text_input": "x", "max_tokens": 7, "stream": False}, {"max_tokens": 7, "message_count": 1}),
        ({"model": "m", "token_ids": [1, 2], "sampling_params": {"max_tokens": 8}},
         {"model": "m", "max_tokens": 8, "message_count": 1}),
        ({"prompt": "x", "n": 4, "max_tokens": 16, "temperature": 0}, {"max_tokens": 16, "temperature": 0.0,
                                                                     "message_count": 1}),
    ],
)  # fmt: skip
def test_requests_are_read(body: dict[str, Any], facts: dict[str, Any]) -> None:
    assert GENERATE.read_request(compact(body)) == RequestFacts(**facts)
    assert GENERATE_STREAM.read_request(compact(body)).is_streaming


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/encode", "/inference/v1/generate", "/"])
def test_its_paths_pass(path: str) -> None:
    assert PathPolicy().route(b"POST", path.encode()).dialect is not None


def test_a_stream_of_many_answers_is_bounded() -> None:
    reader = GenerateStreamReader()
    for number in range(5000):
        reader.feed(event(text="x", index=number, meta_info=meta(1)))
    assert counted(reader).completion_tokens == 4096


def test_bodies_are_read_alike_however_they_are_cut() -> None:
    body = json.dumps([{"text": "é" * 9, "meta_info": meta(2, LENGTH)}], ensure_ascii=False).encode()
    for pieces in three_ways(body):
        reader = GenerateBodyReader()
        seen = 0
        for piece in pieces:
            seen |= reader.feed(piece)
        assert not seen & SAW_TOKEN
        assert counted(reader).completion_tokens == 2


@pytest.mark.parametrize("path", ["/v2/models/llama%2F3/generate", "/v2/models/llama%2F3/versions/1/generate_stream"])
def test_triton_names_the_model_in_the_path(path: str) -> None:
    route = PathPolicy().route(b"POST", path.encode())
    assert not route.allowed  # a slash in a name could lead anywhere
    route = PathPolicy().route(b"POST", path.replace("%2F", "-").encode())
    assert (route.allowed, route.model) == (True, "llama-3")
    assert route.dialect is not None
    assert route.dialect.read_request(compact({"text_input": "x"})).is_streaming is path.endswith("stream")


def test_a_stream_of_triton_has_times_and_its_texts() -> None:
    events = [event(model_name="llama-3", model_version="1", sequence_end=False, text_output=text) for text in "abc"]
    assert facts_of(GenerateStreamReader, *events) == ResponseFacts(
        response_model="llama-3", content_chunks=3, terminal=True
    )
