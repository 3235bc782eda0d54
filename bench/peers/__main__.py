"""``python -m bench.peers``: the packages of Debian that peers still need, one a line."""

from bench.peers import PEERS


def wanted() -> list[str]:
    """Packages of the peers that are not here, each once."""
    missing = [peer.source for peer in PEERS.values() if peer.source.find() is None]
    return list(dict.fromkeys(package for source in missing for package in source.packages))


if __name__ == "__main__":
    for package in wanted():
        print(package)
