"""The simulated models. Speeds are of the order seen on one consumer GPU (small) and one data-centre GPU (large)."""

from typing import Final, NamedTuple


class Model(NamedTuple):
    """One model: how fast it reads, how fast it writes, how much it can hold."""

    name: str
    prefill_tokens_per_s: float
    inter_token_median_ms: float
    inter_token_sigma: float  # of the log-normal distribution that gaps between tokens are drawn from
    context_tokens: int
    answer_median_tokens: int
    reasons: bool = False  # thinks aloud (`reasoning_content`) before it answers
    embedding_dimensions: int = 0  # more than 0: it embeds, and does not chat


MODELS: Final = {
    model.name: model
    for model in (
        Model("demo-small", 6000, 9, 0.25, 8_192, 60),
        Model("demo-large", 1800, 32, 0.35, 32_768, 110),
        Model("demo-reasoning", 2400, 21, 0.30, 32_768, 80, reasons=True),
        Model("demo-embedding", 40_000, 0, 0, 8_192, 0, embedding_dimensions=256),
    )
}
