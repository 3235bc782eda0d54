from tests.analytics.database import Database
from tests.api.service import client


def test_settings_are_shown_as_they_were_given_to_the_process(database: Database) -> None:
    row = {"name": "port", "group": "Addresses", "value": "8001", "origin": "flag --port", "meaning": "Port."}
    shown = client(database, settings=lambda: [row], versions=lambda: {"python": "3.12"}).get("/api/v1/settings").json()
    assert shown["settings"] == [row]
    assert shown["components"] == {"python": "3.12"}
