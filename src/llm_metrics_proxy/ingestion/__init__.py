"""From the journal into the store, exactly once: the ingestion half of the metrics process.

``batch`` (pure) turns frames into what one transaction will do, ``collecting`` reads them, ``losses`` adds up what was
not recorded, ``storing`` commits, and ``ingestor`` is the thread, which retries and tidies up.
"""

from llm_metrics_proxy.ingestion.ingestor import Ingestor
from llm_metrics_proxy.ingestion.status import IngestionStatus
from llm_metrics_proxy.ingestion.storing import REJECTED_NAME

__all__ = ["REJECTED_NAME", "IngestionStatus", "Ingestor"]
