"""``proxy``: the workers alone; their journals wait for a metrics process, here or in another container."""

import logging

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.cli.flags import with_settings
from llm_metrics_proxy.cli.output import console
from llm_metrics_proxy.cli.standard_output import courtesy
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.discovery import choose_backend
from llm_metrics_proxy.processes.launch import launch, listen_for_clients, prepare_folders, worker_specs
from llm_metrics_proxy.scoreboard import Scoreboard

log = logging.getLogger(__name__)


@with_settings(service=True)
def proxy(loaded: Loaded) -> None:
    """Start the proxy workers only. Records wait in the journal until `metrics` reads them."""
    settings = loaded.settings
    logs.setup(settings.log_level, settings.log_format, "proxy")
    descriptors.raise_limit()
    backend = choose_backend(settings, loaded.origins["backend"])
    if backend.url is None:
        raise SettingsError([f"backend = none (default): {backend.note}; name it with --backend http://host:port"])
    prepare_folders(settings)
    clients = listen_for_clients(settings)
    scoreboard = Scoreboard.create()
    children = worker_specs(loaded, backend.url, clients, scoreboard)
    served = backend.url or ", ".join(f"{each.name} {each.url}" for each in settings.backends)

    def announce() -> None:
        if logs.is_json():
            fields = {"app_version": APP_VERSION, "proxy_url": clients.url, "backends": served}
            log.info("LLM Metrics Proxy %s starts its workers", APP_VERSION, extra={logs.FIELDS: fields})
            return
        with courtesy():
            console().print(
                f"Proxy {clients.url} in front of {served} ({backend.note}); journal: {settings.journal_dir}"
            )

    launch(loaded, children, [clients], scoreboard, announce=announce)
