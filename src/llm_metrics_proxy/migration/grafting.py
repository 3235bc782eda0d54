"""An index that is built in small transactions: CREATE INDEX holds the write lock from the first record to the last.

In the file, a table WITHOUT ROWID is what an index is: a b-tree of records that are keys (SQLite's file format, 1.6 and
2.4), with the columns of its PRIMARY KEY first. So the entries go into such a table, batch by batch, and the last batch
turns the row of that table in ``sqlite_schema`` into the row of the index, whose root page it then is.

Entries follow records in the order of ids; a fact records how far. A change of records before that point spoils the
entries: triggers note it, the entries are discarded, and CREATE INDEX makes the index after all. So it does where the
two b-trees could differ: NULL, which a PRIMARY KEY refuses, collations, and REAL, which an index keeps in a form of its
own. Values of all other types are in an index as they are stored, as in a column without a type. In the end the
entries are counted.
"""

from collections.abc import Callable
from typing import Final

import apsw

from llm_metrics_proxy.migration.batches import Interrupted, Pace, id_ranges_end
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase
from llm_metrics_proxy.migration.own_schema import Index, indexes
from llm_metrics_proxy.migration.runs import get_fact, set_fact
from llm_metrics_proxy.storage.affinity import affinity
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_FIRST_ID: Final = -(2**63)
_EMPTIED: Final = 20_000
_SPOILT: Final = "spoilt"  # sorts after every id, as text does after numbers
_EVENTS: Final = {
    "inserted": ("INSERT", "NEW.id <= {through}"),  # REPLACE, which deletes without a trigger, often comes here too
    "changed": ("UPDATE OF id, {column}", "OLD.id <= {through} OR NEW.id <= {through}"),
    "deleted": ("DELETE", "OLD.id <= {through}"),
}


class Grafting:
    """Makes the indexes that an adopted file lacks. The engine's own connection is the only one that makes entries."""

    def __init__(
        self,
        connection: apsw.Connection,
        fence: Fence,
        pace: Pace,
        *,
        report: Report,
        interrupted: Interrupted,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """``between`` is called from one batch to the next."""
        self._connection, self._fence, self._pace = connection, fence, pace
        self._report, self._interrupted, self._between = report, interrupted, between
        self._stretch = 1

    def is_under_way(self) -> bool:
        """Entries of some index have been made, and it is not there yet."""
        return any(get_fact(self._connection, _fact(index)) is not None for index in indexes())

    def build(self) -> bool:
        """Make all that are missing, or go on with it; false: interrupted. Raises ``apsw.Error``."""
        return all(self._exists(index) or self._build(index) for index in indexes())

    def _build(self, index: Index) -> bool:
        if get_fact(self._connection, _fact(index)) is None and not self._begin(index):
            self._make_at_once(index)
            return True
        self._report(Progress(phase=WorkPhase.MIGRATING, detail="building an index"))
        goal, self._stretch = self._connection.execute(f"SELECT coalesce(max(id), {_FIRST_ID}) FROM {TABLE}").get, 1  # noqa: S608
        while not self._exists(index):
            if self._interrupted():
                return False
            try:
                go_on = self._batch(index)
            except apsw.ConstraintError:  # NULL, or a value that should be unique and is not
                go_on = False
            if not go_on:
                self._throw_away(index)
                self._make_at_once(index)
                return True
            if (through := get_fact(self._connection, _fact(index))) is None or through == _SPOILT:
                continue
            if through < goal:
                self._between()
            else:  # what came since must be caught up with, whoever writes: no more rests, and ever larger batches
                self._stretch *= 2
        if not self._is_whole(index):
            with self._fence.transaction(self._pace):
                self._connection.execute(f"REINDEX {index.name}")
        return True

    def _make_at_once(self, index: Index) -> None:
        with self._fence.transaction(self._pace):
            self._connection.execute(index.sql)

    def _begin(self, index: Index) -> bool:
        """Set up the entries' table and the triggers; whether that can lead to the same index."""
        declared, collation, *_rest = self._connection.column_metadata("main", TABLE, index.column)
        if collation != "BINARY" or affinity(declared or "", strict=False) == "REAL":
            return False
        having = f"{index.column} IS {'NOT ' if index.is_partial else ''}NULL"
        first = self._connection.execute(f"SELECT min(id) FROM {TABLE} WHERE {having}").get  # noqa: S608
        after = _FIRST_ID
        if index.is_partial:  # nothing to do for the records before
            last = self._connection.execute(f"SELECT coalesce(max(id), {_FIRST_ID}) FROM {TABLE}").get  # noqa: S608
            after = last if first is None else max(first - 1, _FIRST_ID)
        elif first is not None:
            return False
        key = "value" if index.is_unique else "value, id"
        through = f"(SELECT value FROM migration_state WHERE key = '{_fact(index)}')"  # noqa: S608
        with self._fence.transaction(self._pace):
            self._connection.execute(
                f"CREATE TABLE {_entries(index)} (value, id INTEGER, PRIMARY KEY ({key})) WITHOUT ROWID"
            )
            for name, (event, condition) in _EVENTS.items():
                self._connection.execute(
                    f"CREATE TRIGGER {index.name}_{name} AFTER {event.format(column=index.column)} ON {TABLE} "  # noqa: S608
                    f"WHEN {condition.format(through=through)} BEGIN "
                    f"UPDATE migration_state SET value = '{_SPOILT}' WHERE key = '{_fact(index)}'; END"
                )
            set_fact(self._connection, _fact(index), after)
        return True

    def _batch(self, index: Index) -> bool:
        """The entries of some more records, and the index after the last; false: they are spoilt."""
        connection = self._connection
        try:
            with self._fence.transaction(self._pace):
                after = get_fact(connection, _fact(index))
                if after == _SPOILT:
                    return False
                last = self._connection.execute(f"SELECT coalesce(max(id), {_FIRST_ID}) FROM {TABLE}").get  # noqa: S608
                through = max(after, id_ranges_end(connection, TABLE, after, last, self._pace.records * self._stretch))
                having = f" AND {index.column} IS NOT NULL" if index.is_partial else ""
                connection.execute(
                    f"INSERT INTO {_entries(index)} SELECT {index.column}, id FROM {TABLE} "  # noqa: S608
                    f"WHERE id > ?1 AND id <= ?2{having}",
                    (after, through),
                )
                set_fact(connection, _fact(index), through)
                if through >= last:
                    self._graft(index)
        finally:
            connection.pragma("writable_schema", "RESET")  # and read the schema again
        return True

    def _graft(self, index: Index) -> None:
        """Within the transaction: the entries' table becomes the index."""
        connection = self._connection
        self._take_triggers_away(index)
        connection.pragma("writable_schema", 1)
        connection.execute(
            "UPDATE sqlite_schema SET type = 'index', name = ?1, tbl_name = ?2, sql = ?3 "
            "WHERE type = 'table' AND name = ?4",
            (index.name, TABLE, index.sql, _entries(index)),
        )
        # makes every connection, other processes' too, read the schema again
        connection.pragma("schema_version", connection.pragma("schema_version") + 1)

    def _take_triggers_away(self, index: Index) -> None:
        for name in _EVENTS:
            self._connection.execute(f"DROP TRIGGER IF EXISTS {index.name}_{name}")
        set_fact(self._connection, _fact(index), None)

    def _throw_away(self, index: Index) -> None:
        """In small steps, the fact last: dropping a large table holds the lock for long."""
        connection, entries, left = self._connection, _entries(index), True
        while left:
            with self._fence.transaction(self._pace):
                set_fact(connection, _fact(index), _SPOILT)  # so that an interruption leads here again
                connection.execute(
                    f"DELETE FROM {entries} WHERE (value, id) IN (SELECT value, id FROM {entries} LIMIT {_EMPTIED})"  # noqa: S608
                )
                left = connection.changes() > 0
            self._between()
        with self._fence.transaction(self._pace):
            self._take_triggers_away(index)
            connection.execute(f"DROP TABLE {entries}")

    def _exists(self, index: Index) -> bool:
        return bool(
            self._connection.execute(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = ?", (index.name,)
            ).get
        )

    def _is_whole(self, index: Index) -> bool:
        """As many entries as records that are to have one. Reads only."""
        column = index.column
        found = f"SELECT count(*) FROM {TABLE} INDEXED BY {index.name} WHERE {column} IS NOT NULL"  # noqa: S608
        wanted = f"SELECT count({column}) FROM {TABLE} NOT INDEXED"  # noqa: S608
        return bool(self._connection.execute(f"SELECT ({found}) = ({wanted})").get)


def _fact(index: Index) -> str:
    return f"entries_through:{index.name}"


def _entries(index: Index) -> str:
    return f"{index.name}_entries"
