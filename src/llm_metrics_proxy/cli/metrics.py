"""``metrics``: the metrics process alone, on journals that workers started elsewhere write."""

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.processes.launch import launch, listen_for_readers, metrics_spec, prepare_folders


@with_settings()
def metrics(loaded: Loaded) -> None:
    """Start the metrics process only: it stores what the journal holds and serves the metrics API."""
    settings = loaded.settings
    logs.setup(settings.log_level, settings.log_format, "metrics")
    descriptors.raise_limit()
    prepare_folders(settings)
    readers = listen_for_readers(settings)
    child = metrics_spec(loaded, readers, None)

    def announce() -> None:
        with courtesy():
            console().print(f"Metrics {readers.url}; API docs: {readers.url}/docs; database: {settings.db_path}")

    launch(loaded, [child], [readers], announce=announce)
