from llm_metrics_proxy.api.ports import ServiceStatus
from llm_metrics_proxy.ingestion import IngestionStatus


def test_the_ingesters_status_is_what_the_api_asks_for() -> None:
    status: ServiceStatus = IngestionStatus()  # mypy holds the types together
    for name, member in vars(ServiceStatus).items():
        if isinstance(member, property):
            assert hasattr(status, name)
