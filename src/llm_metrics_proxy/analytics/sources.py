"""The sources that a reader offers, the one to ask first coming first."""

from llm_metrics_proxy.analytics.records_source import RecordsSource
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.storage.base import Reader


def sources_of(reader: Reader) -> tuple[Source, ...]:
    """The last one can answer everything."""
    from llm_metrics_proxy.analytics.rollup_source import RollupSource  # noqa: PLC0415 -- numpy, for whoever asks

    return (RollupSource(reader), RecordsSource(reader))
