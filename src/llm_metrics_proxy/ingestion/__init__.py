"""From the journal into the store, exactly once: the ingestion half of the metrics process.

``batch`` (pure) turns frames into what one transaction will do; ``ingestor`` reads, commits, retries and tidies up.
"""

from llm_metrics_proxy.ingestion.ingestor import REJECTED_NAME, IngestionStatus, Ingestor

__all__ = ["REJECTED_NAME", "IngestionStatus", "Ingestor"]
