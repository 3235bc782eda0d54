"""Numbers of records in the order of arrival. Each is given once, whether or not its record is still there."""

from typing import Final

import apsw

_TAKE: Final = (
    "INSERT INTO main.arrivals (one, next) VALUES (1, 1 + ?1) ON CONFLICT DO UPDATE SET next = next + ?1 RETURNING next"
)
_BEGIN_ABOVE: Final = (
    "INSERT INTO main.arrivals (one, next) VALUES (1, ?1 + 1) ON CONFLICT DO UPDATE SET next = max(next, ?1 + 1)"
)


def take_arrivals(connection: apsw.Connection, records: int) -> int:
    """The first of so many numbers, in the caller's transaction. Raises ``apsw.Error``."""
    return int(connection.execute(_TAKE, (records,)).get) - records


def begin_above(connection: apsw.Connection, arrival: int) -> None:
    """No number up to this one is given any more, in the caller's transaction. Raises ``apsw.Error``."""
    connection.execute(_BEGIN_ABOVE, (max(0, arrival),))
