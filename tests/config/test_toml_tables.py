"""The kinds of tables that the file may have."""

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.toml_tables import TOML_TABLES


def test_every_kind_is_a_setting_and_names_keys_that_it_has() -> None:
    for name, kind in TOML_TABLES.items():
        assert name in Settings.model_fields
        assert {kind.label, *kind.hidden, *kind.explained} <= kind.model.model_fields.keys()
        assert kind.noun.startswith(("a ", "an "))
