"""Where records are kept: what the setting ``store`` says. Pure, and light to import."""

import ipaddress
import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

SQLITE: Final = "sqlite"
_PLAIN, _TLS = "clickhouse+http", "clickhouse+https"
_SCHEMES: Final = ("clickhouse", _PLAIN, _TLS)
_HTTP_PORT, _HTTPS_PORT = 8123, 8443
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]{0,62}"  # of a database or a cluster, so that SQL never has to quote it
FORM: Final = "sqlite, or clickhouse://user@host:8443/database"


class StoreAddress(NamedTuple):
    """A ClickHouse server and the database in it; without the password."""

    host: str
    port: int
    user: str
    database: str
    is_tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_TLS if self.is_tls else _PLAIN}://{self.user}@{host}:{self.port}/{self.database}"

    @property
    def is_loopback(self) -> bool:
        """The server is on this machine."""
        return _is_loopback(self.host)


class StoreAccess(NamedTuple):
    """Where a server is, and what else it takes to be let in. ``cluster``: the name of the servers' own one."""

    address: StoreAddress
    password: str = ""
    ca_file: Path | None = None
    cluster: str | None = None


def store_address(text: str) -> StoreAddress | None:
    """None: records are in the SQLite file. Raises ``ValueError`` with what is wrong; it never has a password in it."""
    if text.strip().lower() == SQLITE:
        return None
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"it begins with none of {', '.join(f'{each}://' for each in _SCHEMES)}")
    if parts.password is not None:
        raise ValueError(
            "it has a password in it, which every user of a machine could read: take it out, and name a file that has "
            "it with store_password_file, or set LLM_METRICS_PROXY_STORE_PASSWORD"
        )
    database = parts.path.removeprefix("/")
    for is_wrong, why in (
        (not re.fullmatch(r"[A-Za-z0-9._:-]+", host), "it names no host"),
        (port == 0, "its port is 0"),
        (parts.query or parts.fragment, "it has more after the database's name"),
        (not re.fullmatch(_NAME, database), "it ends in no database's name: a letter, then letters, digits and _"),
    ):
        if is_wrong:
            raise ValueError(why)
    is_tls = parts.scheme != _PLAIN and (parts.scheme == _TLS or port != _HTTP_PORT or not _is_loopback(host))
    user = unquote(parts.username or "") or "default"
    return StoreAddress(host, port or (_HTTPS_PORT if is_tls else _HTTP_PORT), user, database, is_tls)


def access_of(store: str, password: str, ca_file: str | None, cluster: str | None) -> StoreAccess | None:
    """What the settings of these names say, which were validated; ``None``: records are in the SQLite file."""
    address = store_address(store)
    return None if address is None else StoreAccess(address, password, Path(ca_file) if ca_file else None, cluster)


def cluster_name(text: str) -> str:
    """The name of a cluster. Raises ``ValueError``."""
    if not re.fullmatch(_NAME, text):
        raise ValueError("not a cluster's name")
    return text


def backup_place(text: str) -> str:
    """Where a server puts backups: ``disk:NAME`` or ``file:FOLDER``. Raises ``ValueError``."""
    if not re.fullmatch(r"disk:\w+|file:[\w./ -]*", text):
        raise ValueError("neither disk:NAME nor file:FOLDER")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
