"""From the settings of ``store`` to what it takes to be let in."""

from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.store_address import StoreAccess, access_of


def store_access(settings: Settings) -> StoreAccess | None:
    """The server that has the records; ``None``: the SQLite file has. Raises ``SettingsError``."""
    return access_of(settings.store, store_password(settings), settings.store_ca_file, settings.store_cluster)


def store_password(settings: Settings) -> str:
    """Empty without one. Raises ``SettingsError`` if its file cannot be read."""
    if settings.store_password is not None:
        return settings.store_password.get_secret_value()
    path = settings.store_password_file
    if path is None:
        return ""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([f"store_password_file = {str(path)!r}: cannot be read: {reason}"]) from error
    if not lines or not lines[0]:
        raise SettingsError([f"store_password_file = {str(path)!r}: its first line is empty"])
    return lines[0]
