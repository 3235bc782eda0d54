"""For how long the server keeps records: as long as the host that asks for the longest time.

The rule (TTL) is the table's, and so that of all hosts: were it set by each of them as its own settings say, the one
that started last would delete what others want to keep. So each host notes what it asks for, and each sets the same
rule from all that is noted. A host has a say while it has records here; one that runs 5.0, which notes nothing, asks
for what the rule is.
"""
# ruff: noqa: S608 -- names are ours

from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.prepare import keep_for, kept_for
from llm_metrics_proxy.engines.clickhouse.table import HOSTS, RETENTION, TABLE

_ASKED: Final = f"SELECT host, argMax(days, at) FROM {RETENTION} GROUP BY host"
_HAVE_A_SAY: Final = (
    f"SELECT host FROM (SELECT host FROM {TABLE} GROUP BY host) WHERE host IN (SELECT host FROM {HOSTS})"
)
_MOST_ROUNDS: Final = 10  # another host may note something else just then


class Kept(NamedTuple):
    """``days``: whole days in UTC; 0: for ever. ``asked``: by host, of those that have a say. ``has_changed``: the rule
    was another one before."""

    days: int
    asked: dict[str, int]
    has_changed: bool = False

    @property
    def longest(self) -> list[str]:
        """The hosts that ask for as long as that."""
        return sorted(host for host, days in self.asked.items() if days == self.days)


def kept(connection: Connection) -> Kept:
    """As it is now. Changes nothing. Raises ``StoreError``."""
    days = kept_for(connection)
    have_a_say = {str(host): days for (host,) in connection.query(_HAVE_A_SAY)}
    noted = {str(host): int(asked) for host, asked in connection.query(_ASKED) if host in have_a_say}
    return Kept(days, have_a_say | noted)


def agree(connection: Connection, host: str, days: int) -> Kept:
    """Note what a host asks for, and set the rule to the longest. Raises ``StoreError``.

    Whoever looks after the other one has noted its own sees both; so after a change of the rule one looks again.
    """
    if dict(connection.query(_ASKED)).get(host) != days:
        connection.command(
            f"INSERT INTO {RETENTION} (host, days) SELECT {{host:String}}, {days}",
            {"host": host},
            settings={"async_insert": 0, "insert_deduplicate": 0},
        )
    has_changed = False
    for _ in range(_MOST_ROUNDS):
        asked = kept(connection).asked | {host: days}
        longest = 0 if 0 in asked.values() else max(asked.values())
        if not keep_for(connection, longest):
            break
        has_changed = True
    return Kept(longest, asked, has_changed)


def in_words(days: int) -> str:
    """What is kept."""
    return f"for {days} days" if days else "for ever"
