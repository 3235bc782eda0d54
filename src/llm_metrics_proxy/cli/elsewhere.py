"""What verbs about the database file say where records are in a store on the network."""

from llm_metrics_proxy.cli.output import error_console, plain
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.store_address import StoreAddress, store_address


def store_elsewhere(settings: Settings) -> StoreAddress | None:
    """Where the records are, if that is not the database file."""
    return store_address(settings.store)


def tell_what_is_not_here(settings: Settings, then: str) -> None:
    """On standard error, whatever the verb prints; ``then``: what takes care of the records."""
    address = store_elsewhere(settings)
    if address is not None:
        error_console().print(
            f"[yellow]This is the control store alone. The records are in {plain(str(address))}: {then}[/]",
            soft_wrap=True,
        )
