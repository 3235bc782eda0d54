"""What a simulated model "says": pieces of text and the times at which they come. Pure; the randomness is passed in."""

import json
import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.demo.models import Model

# The answer says what it is, whatever the question, so that nobody takes it for a model's opinion.
_OPENING: Final = ("This", " is", " a", " simulated", " answer", ".")
_SENTENCE: Final = (
    "the proxy counts what passes and keeps one record for every request so that the numbers can be trusted later"
    " when somebody asks how long the first token took and how many tokens came after it and who was waiting for them"
)
_WORDS: Final = tuple(_SENTENCE.split())
_PAUSE_CHANCE: Final = 0.02  # now and then a scheduler lets a stream wait for another one
_PAUSE_FACTOR: Final = 8.0


class ModelAnswer(NamedTuple):
    """One choice. A piece is one token; ``finish_reason`` is OpenAI's word for why it ended."""

    reasoning: tuple[str, ...]
    content: tuple[str, ...]
    tool_name: str | None
    tool_arguments: tuple[str, ...]
    finish_reason: str

    @property
    def token_count(self) -> int:
        """All that was generated, reasoning and arguments included."""
        return len(self.reasoning) + len(self.content) + len(self.tool_arguments)


def count_tokens(text: str) -> int:
    """About what a tokenizer makes of English text: one token for four characters, at least one."""
    return max(1, round(len(text) / 4))


def answer(model: Model, random: Random, limit: int | None, tool: Mapping[str, Any] | None) -> ModelAnswer:
    """One choice of at most ``limit`` tokens; ``tool`` is the function (OpenAI's definition) to be called, if any."""
    reasoning = _text(random, _log_normal(random, 40, 0.5)) if model.reasons else ()
    if tool is not None:
        arguments = tuple(_pieces(json.dumps(_arguments(tool.get("parameters") or {}, random))))
        return _cut(ModelAnswer(reasoning, (), str(tool.get("name", "")), arguments, "tool_calls"), limit)
    content = _OPENING + _text(random, _log_normal(random, model.answer_median_tokens, 0.7))
    return _cut(ModelAnswer(reasoning, content, None, (), "stop"), limit)


def first_token_delay_s(model: Model, random: Random, prompt_tokens: int) -> float:
    """Reading the prompt takes time in proportion to it; queueing and launching add some milliseconds."""
    return prompt_tokens / model.prefill_tokens_per_s + random.lognormvariate(math.log(0.012), 0.4)


def inter_token_s(model: Model, random: Random) -> float:
    """The gap before the next token."""
    gap_s = random.lognormvariate(math.log(model.inter_token_median_ms / 1000), model.inter_token_sigma)
    return gap_s * _PAUSE_FACTOR if random.random() < _PAUSE_CHANCE else gap_s


def embedding(random: Random, dimensions: int) -> list[float]:
    """A random unit vector."""
    values = [random.gauss(0, 1) for _ in range(dimensions)]
    norm = math.sqrt(sum(value * value for value in values))
    return [round(value / norm, 8) for value in values]


def _log_normal(random: Random, median: float, sigma: float) -> int:
    return max(1, round(random.lognormvariate(math.log(median), sigma)))


def _text(random: Random, count: int) -> tuple[str, ...]:
    return tuple("." if index % 14 == 13 else " " + random.choice(_WORDS) for index in range(count))


def _pieces(text: str, width: int = 4) -> list[str]:
    return [text[start : start + width] for start in range(0, len(text), width)]


def _arguments(schema: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """Values for the properties that a tool's JSON schema names."""
    samples: dict[str, Any] = {
        "string": random.choice(_WORDS),
        "integer": random.randint(1, 100),
        "number": round(random.uniform(0, 100), 2),
        "boolean": True,
        "array": [],
        "object": {},
    }
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {
        str(name): samples.get(str(what.get("type")) if isinstance(what, Mapping) else "")
        for name, what in properties.items()
    }


def _cut(whole: ModelAnswer, limit: int | None) -> ModelAnswer:
    if limit is None or whole.token_count <= limit:
        return whole
    reasoning, limit = _take(whole.reasoning, limit)
    content, limit = _take(whole.content, limit)
    arguments, _ = _take(whole.tool_arguments, limit)
    return ModelAnswer(reasoning, content, whole.tool_name, arguments, "length")


def _take(pieces: Sequence[str], limit: int) -> tuple[tuple[str, ...], int]:
    taken = tuple(pieces[:limit])
    return taken, limit - len(taken)
