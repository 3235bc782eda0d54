"""``metrics``: the metrics process alone, on journals that workers started elsewhere write."""

import logging

from llm_metrics_proxy import dashboard, descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.listening import base_url
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.launch import launch, listen_for_readers, metrics_spec, prepare_folders

log = logging.getLogger(__name__)


@with_settings(service=True)
def metrics(loaded: Loaded) -> None:
    """Start the metrics process only: it stores what the journal holds and serves the metrics API."""
    settings = loaded.settings
    logs.setup(settings.log_level, settings.log_format, "metrics")
    descriptors.raise_limit()
    prepare_folders(settings)
    readers = listen_for_readers(settings)
    named = settings.backend if settings.backend not in {None, DEMO} else ""
    child = metrics_spec(loaded, readers, None, str(named), proxy_url=base_url(settings.host, settings.port))
    has_page = dashboard.is_built() and settings.metrics_role != "ingest"

    def announce() -> None:
        if logs.is_json():
            fields = {"app_version": APP_VERSION, "metrics_url": readers.url, "database": str(settings.db_path)}
            log.info("LLM Metrics Proxy %s starts its metrics process", APP_VERSION, extra={logs.FIELDS: fields})
            return
        with courtesy():
            page = f"dashboard: {readers.url}/ (open it in a browser); " if has_page else ""
            console().print(f"Metrics {readers.url}; {page}API docs: {readers.url}/docs; database: {settings.db_path}")

    launch(loaded, [child], [readers], announce=announce)
