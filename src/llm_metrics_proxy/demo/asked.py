"""Reading a request: what it asks of which model, or an error in OpenAI's words. Pure."""

from collections.abc import Mapping
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.demo import faults
from llm_metrics_proxy.demo.answers import count_tokens
from llm_metrics_proxy.demo.faults import FaultAnswer
from llm_metrics_proxy.demo.models import MODELS, Model

_MAX_CHOICES: Final = 16


class DemoRefusal(Exception):  # noqa: N818 -- an answer to the client, not a fault of ours
    """The request is answered with an error."""

    def __init__(self, answer: FaultAnswer) -> None:
        super().__init__(answer.message)
        self.answer = answer


class RequestedStreamOptions(msgspec.Struct):
    """``stream_options`` of a request."""

    include_usage: bool | None = None


class Body(msgspec.Struct):
    """The members of a request's body that matter to a simulation."""

    model: str
    messages: list[Any] | None = None  # chat completions
    prompt: str | list[Any] | None = None  # completions
    input: str | list[Any] | None = None  # embeddings
    stream: bool | None = None
    stream_options: RequestedStreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    encoding_format: str | None = None


class Asked(NamedTuple):
    """A request that can be served."""

    body: Body
    model: Model
    prompt_tokens: int
    limit: int | None  # of tokens in one choice
    choices: int
    include_usage: bool


def invalid(status: int, message: str, code: str | None = None) -> DemoRefusal:
    """The client requested something that does not exist or makes no sense."""
    return DemoRefusal(FaultAnswer(status, "invalid_request_error", code, message))


def understood(member: str, raw: bytes) -> Asked:
    """What ``raw`` asks; ``member`` is the one that holds this path's prompt. Raises ``DemoRefusal``."""
    try:
        body = msgspec.json.decode(raw, type=Body)
    except msgspec.MsgspecError as error:
        raise invalid(400, f"Cannot read the request: {error}") from None
    model = MODELS.get(body.model)
    if model is None:
        known = ", ".join(MODELS)
        raise invalid(404, f"The model `{body.model}` does not exist; simulated are {known}", "model_not_found")
    prompt = getattr(body, member)
    if not prompt:
        raise invalid(400, f"`{member}` is missing or empty")
    if (member == "input") != bool(model.embedding_dimensions):
        raise invalid(400, f"The model `{model.name}` does not serve this path")
    choices = 1 if body.n is None else body.n
    if not 1 <= choices <= _MAX_CHOICES:
        raise invalid(400, f"`n` is from 1 to {_MAX_CHOICES}")
    limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if limit is not None and limit < 1:
        raise invalid(400, "The limit of tokens is at least 1")
    prompt_tokens = count_tokens(prompt if isinstance(prompt, str) else msgspec.json.encode(prompt).decode())
    if prompt_tokens + (limit or 0) > model.context_tokens:
        raise DemoRefusal(faults.context_length_error(prompt_tokens + (limit or 0), model.context_tokens))
    include_usage = bool(body.stream_options and body.stream_options.include_usage)
    return Asked(body, model, prompt_tokens, limit, choices, include_usage)


def tool_to_call(body: Body, random: Random) -> Mapping[str, Any] | None:
    """The function to call: the one that is named, any if required, else one now and then."""
    functions = [tool["function"] for tool in body.tools or () if isinstance(tool, dict) and "function" in tool]
    if not functions or body.tool_choice == "none":
        return None
    if isinstance(body.tool_choice, dict):
        wanted = body.tool_choice.get("function", {}).get("name")
        return next((function for function in functions if function.get("name") == wanted), None)
    if body.tool_choice == "required" or random.random() < 0.6:
        chosen: Mapping[str, Any] = random.choice(functions)
        return chosen
    return None
