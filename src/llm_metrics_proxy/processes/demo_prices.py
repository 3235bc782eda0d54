"""What the simulated models cost. In a file of its own: the metrics process needs it, and no settings."""

from typing import Final

from llm_metrics_proxy.demo.models import MODELS
from llm_metrics_proxy.pricing import PriceRow

# Of the simulated models: behind all rows of the user.
DEMO_PRICES: Final = tuple(
    PriceRow(
        model=model.name,
        input_usd_per_mtok=model.input_usd_per_mtok,
        output_usd_per_mtok=model.output_usd_per_mtok,
        cached_usd_per_mtok=model.cached_usd_per_mtok,
    )
    for model in MODELS.values()
)
