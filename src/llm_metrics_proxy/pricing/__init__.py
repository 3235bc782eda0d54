"""What requests cost in US dollars: the server's own word, else the user's table, else genai-prices,
else what the user's machine costs in an hour by the time that it was busy, else unknown.

rates        pure: prices of one model at one time, and the arithmetic
table        pure: rows of the user's own table, and which of them fit a request
public       the only file that knows genai-prices: its bundled lists as ``rates.Tariff``
pricer       pure: which of the three counts, and a cache by model

Nothing here asks the network, and no price list is fetched: genai-prices' lists are those of its installed version.
"""

from llm_metrics_proxy.pricing.pricer import GENAI_PRICES, OWN_HARDWARE, PRICE_TABLE, SOURCES, UPSTREAM, Pricer
from llm_metrics_proxy.pricing.table import ALWAYS, FOR_EVER, PriceRow

__all__ = [
    "ALWAYS", "FOR_EVER", "GENAI_PRICES", "OWN_HARDWARE", "PRICE_TABLE", "SOURCES", "UPSTREAM", "PriceRow", "Pricer",
]  # fmt: skip
