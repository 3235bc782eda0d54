"""The simulated models. Speeds are of the order seen on one consumer GPU (small) and one data-centre GPU (large),
prices of the order that providers ask for models of such sizes: so a first look has costs and savings, too."""

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
    input_usd_per_mtok: float = 0.0
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None


MODELS: Final = {
    model.name: model
    for model in (
        Model("demo-small", 6000, 9, 0.25, 8_192, 60, False, 0, 0.25, 2.0, 0.025),
        Model("demo-large", 1800, 32, 0.35, 32_768, 110, False, 0, 3.0, 15.0, 0.3),
        Model("demo-reasoning", 2400, 21, 0.30, 32_768, 80, True, 0, 1.25, 10.0, 0.125),
        Model("demo-embedding", 40_000, 0, 0, 8_192, 0, False, 256, 0.02),
    )
}
