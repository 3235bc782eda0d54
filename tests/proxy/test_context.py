"""What connections share."""

import pytest

from tests.proxy.desk import Desk


@pytest.mark.parametrize(
    ("networks", "address", "trusted"),
    [
        ([], "127.0.0.1", False),
        (["127.0.0.1"], "127.0.0.1", True),
        (["10.0.0.0/8", "fd00::/8"], "10.1.2.3", True),
        (["10.0.0.0/8", "fd00::/8"], "fd00::1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.1/8"], "10.9.9.9", True),
        (["0.0.0.0/0"], "unknown", False),
        (["0.0.0.0/0"], "::1", False),
    ],
)
def test_whom_to_believe(networks: list[str], address: str, trusted: bool) -> None:
    assert Desk(learns=True, trusted_proxies=networks).context.is_trusted(address) is trusted
