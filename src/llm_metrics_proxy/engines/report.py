"""What a store on the network says of itself, for ``doctor``."""

from collections.abc import Mapping
from typing import NamedTuple


class HostReport(NamedTuple):
    """Records of one host: how many are there, and the last number."""

    host: str
    records: int
    newest: int


class RecordsBackup(NamedTuple):
    """A backup of records that the server has made. ``place``: ``disk:NAME`` or ``file:FOLDER``; ``name``: there;
    ``digest`` of every column of every record; ``address``: the server's."""

    place: str
    name: str
    records: int
    digest: str
    layout: int
    address: str


class StoreReport(NamedTuple):
    """``clock_ahead_s``: its clock against ours. ``size`` of the records and ``disk_free``, both bytes. ``hosts``: none
    if there is no table yet. ``kept_days``: for how long it keeps records, 0: for ever; ``asked_days``: for how long
    each host asks. ``changing``: what is being changed in stored records, in words; ``failing``: what cannot be."""

    version: str
    name: str
    clock_ahead_s: float
    size: int
    parts: int
    hosts: list[HostReport]
    disk_free: int
    kept_days: int = 0
    asked_days: Mapping[str, int] = {}
    changing: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
