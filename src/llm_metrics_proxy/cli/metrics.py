"""``metrics``: the metrics process alone, on journals that workers started elsewhere write."""

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.supervisor import become


@with_settings()
def metrics(loaded: Loaded) -> None:
    """Start the metrics process only: it stores what the journal holds and serves the metrics API."""
    settings = loaded.settings
    logs.setup(settings.log_level, settings.log_format, "metrics")
    descriptors.raise_limit()
    launch.prepare_folders(settings)
    readers = launch.listen_for_readers(settings)
    child = launch.metrics_spec(loaded, readers, None)
    with courtesy():
        console().print(f"Metrics {readers.url}; API docs: {readers.url}/docs; database: {settings.db_path}")
    become(launch.assemble(settings, [child], [readers], None, launch.reload_plan(loaded, [child])))
