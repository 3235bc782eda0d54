from tests.analytics.conftest import database

__all__ = ["database"]
