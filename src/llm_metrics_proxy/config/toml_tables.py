"""The arrays of tables in the file, such as ``[[backends]]``, and the words for mistakes in them."""

from typing import Final, NamedTuple

from pydantic import BaseModel

from llm_metrics_proxy.config.backends import BackendTable
from llm_metrics_proxy.config.budgets import BudgetTable
from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.tokens import TokenTable
from llm_metrics_proxy.config.watch import AlertTable, SloTable


class TomlTable(NamedTuple):
    """One kind of table. ``label``: the key that names a table to people."""

    model: type[BaseModel]
    noun: str
    label: str
    hidden: frozenset[str] = frozenset()  # keys whose values may be secret
    explained: frozenset[str] = frozenset()  # keys whose validators say more than what is allowed


TOML_TABLES: Final = {
    "backends": TomlTable(
        BackendTable, "a backend", "name", frozenset({"add_headers"}), frozenset({"models", "add_headers", "name"})
    ),
    "tokens": TomlTable(TokenTable, "a token", "name", frozenset({"token", "token_sha256"})),
    "prices": TomlTable(PriceTable, "a price", "model", explained=frozenset({"model", "backend"})),
    "slos": TomlTable(SloTable, "an SLO", "name", explained=frozenset({"require", "where"})),
    "alerts": TomlTable(
        AlertTable, "an alert", "name", frozenset({"webhook"}), frozenset({"metric", "require", "webhook", "where"})
    ),
    "budgets": TomlTable(
        BudgetTable, "a budget", "name", frozenset({"webhook"}), frozenset({"each", "timezone", "webhook", "where"})
    ),
}
