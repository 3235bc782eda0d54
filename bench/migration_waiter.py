"""``python -m bench.migration_waiter DATABASE``: how long another writer has to wait, until standard input ends.

Asks for the write lock all the time, as the ingester does now and then, and gives it back at once. Prints one line of
JSON: the longest wait, how many were longer than 100 ms, and how often it asked.
"""

import select
import sys
import time

import apsw
import msgspec

_PAUSE_S = 0.002


def main(database: str) -> None:
    """Ask until told to stop."""
    connection = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(0)
    longest_ms, long_waits, asked, since_s = 0.0, 0, 0, None
    while not select.select([sys.stdin], [], [], _PAUSE_S if since_s is None else 0.0002)[0]:
        began_s = time.perf_counter()
        try:
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.BusyError:
            since_s = began_s if since_s is None else since_s
            continue
        asked += 1
        waited_ms = 0.0 if since_s is None else (time.perf_counter() - since_s) * 1000
        longest_ms, long_waits, since_s = max(longest_ms, waited_ms), long_waits + (waited_ms > 100), None
    print(
        msgspec.json.encode({"longest_ms": longest_ms, "long_waits": long_waits, "asked": asked}).decode(), flush=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
