"""How far records have been seen: by host, the number of the last one. Pure.

A number is given once and never again, and records of one host come in the order of their numbers; of two hosts,
nothing says whose came first. An engine that keeps the records of one host says it under the name ``ONE_HOST``.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

ONE_HOST: Final = ""
_MOST: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)


class Arrivals(NamedTuple):
    """The last number of each host; of a host that is not there, none has been seen."""

    by_host: Mapping[str, int] = {}

    @classmethod
    def of_one_host(cls, number: int) -> "Arrivals":
        """Of an engine of one host."""
        return cls({ONE_HOST: number})

    @property
    def number(self) -> int:
        """The last one where there is one host."""
        return self.by_host.get(ONE_HOST, 0)

    def is_ahead_of(self, other: "Arrivals") -> bool:
        """Whether there may be records here that the other has not seen."""
        return any(number > other.by_host.get(host, 0) for host, number in self.by_host.items())

    def less(self, records: int) -> "Arrivals":
        """So many numbers before, of each host."""
        return Arrivals({host: max(0, number - records) for host, number in self.by_host.items()})

    def merged(self, other: "Arrivals") -> "Arrivals":
        """Of each host the greater number of both."""
        hosts = {**self.by_host, **other.by_host}
        return Arrivals({host: max(self.by_host.get(host, 0), other.by_host.get(host, 0)) for host in hosts})

    def with_record(self, host: str | None, arrival: int) -> "Arrivals":
        """A record has been seen. An engine of one host has that one, whatever host the record names."""
        name = ONE_HOST if self.by_host.keys() == {ONE_HOST} or host is None else host
        return Arrivals({**self.by_host, name: arrival})

    def passed(self, through: "Arrivals", host: str | None, arrival: int) -> "Arrivals":
        """After records up to ``through`` were read in the order of (host, arrival) up to this one: hosts before are
        done. An engine of one host has one, whatever host its records name."""
        if through.by_host.keys() <= {ONE_HOST}:
            return Arrivals.of_one_host(arrival)
        name = host or ONE_HOST
        done = {one: number for one, number in through.by_host.items() if one < name}
        return Arrivals({**self.by_host, **done, name: arrival})

    def __str__(self) -> str:
        """For ids of events and URLs: of one host the number alone, else ``host=number`` with commas between."""
        if self.by_host.keys() <= {ONE_HOST}:
            return str(self.number)
        return ",".join(f"{quote(host, safe='')}={number}" for host, number in sorted(self.by_host.items()))

    @classmethod
    def parsed(cls, text: str) -> "Arrivals | None":
        """What ``str`` wrote; ``None``: it did not."""
        found: dict[str, int] = {}
        for part in text.split(","):
            host, _, number = part.rpartition("=")
            if not _NUMBER.fullmatch(number) or int(number) > _MOST or unquote(host) in found:
                return None
            found[unquote(host)] = int(number)
        return cls(found)


class ArrivalRange(NamedTuple):
    """Records of each host with greater numbers than ``after`` has, up to that of ``through``."""

    after: Arrivals
    through: Arrivals
