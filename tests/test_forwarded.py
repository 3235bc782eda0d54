"""Whom a reverse proxy asks for, as it says, and as far as it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.forwarded import Asker, asker, is_within, neighbourhood

TRUSTED = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.1, 192.0.2.1", "192.0.2.1"),  # what stands before the last untrusted one is hearsay
        ("192.0.2.1, 10.9.9.9", "192.0.2.1"),
        ("198.51.100.1,192.0.2.1 ,10.9.9.9,fd00::7", "192.0.2.1"),
        ("10.0.0.9", "10.0.0.9"),  # trusted all the way
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.1, unknown", "10.1.2.3"),
        ("192.0.2.1, evil, 10.0.0.9", "10.0.0.9"),
        ("", "10.1.2.3"),
        (" , ,", "10.1.2.3"),
        (f"fe80::1%{'x' * 8000}", "10.1.2.3"),  # would be kept
    ],
)
def test_the_last_address_that_is_no_trusted_proxys_is_the_client(chain: str, client: str) -> None:
    assert asker("10.1.2.3", [("x-forwarded-for", chain)], TRUSTED).address == client
    assert asker("192.0.2.200", [("x-forwarded-for", chain)], TRUSTED).address == "192.0.2.200"
    assert asker("::ffff:10.1.2.3", [("x-forwarded-for", "192.0.2.1")], TRUSTED).address == "192.0.2.1"


def test_several_fields_are_one_list() -> None:
    fields = [("x-forwarded-for", "198.51.100.1"), ("host", "x"), ("x-forwarded-for", "192.0.2.1, 10.0.0.1")]
    assert asker("10.1.2.3", fields, TRUSTED).address == "192.0.2.1"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("for=192.0.2.60;proto=https;by=203.0.113.43;host=llm.example", Asker("192.0.2.60", True, ("llm.example",))),
        ('For="[2001:db8:cafe::17]:4711"', Asker("2001:db8:cafe::17")),
        ("for=192.0.2.43, for=198.51.100.17", Asker("198.51.100.17")),
        ('for=192.0.2.43;proto=https, for="10.0.0.1:80";proto=http', Asker("192.0.2.43", True)),
        ("for=unknown;proto=https", Asker("10.1.2.3", True)),
        ("for=_hidden, for=_SEVKISEK", Asker("10.1.2.3")),
        ('host="a\\"b";for=192.0.2.43', Asker("192.0.2.43", False, ('a"b',))),
        ('host="a, for=198.51.100.17, ";for=192.0.2.43', Asker("192.0.2.43", False, ("a, for=198.51.100.17, ",))),
        ("for=192.0.2.43; nonsense", Asker("10.1.2.3")),
        ('for="192.0.2.43', Asker("10.1.2.3")),
        ("", Asker("10.1.2.3")),
    ],
)
def test_the_standard_header_is_read_where_the_older_ones_are_not_there(value: str, found: Asker) -> None:
    assert asker("10.1.2.3", [("forwarded", value)], TRUSTED) == found
    assert asker("192.0.2.200", [("forwarded", value)], TRUSTED) == Asker("192.0.2.200")
    both = [("forwarded", value), ("x-forwarded-for", "192.0.2.99")]
    assert asker("10.1.2.3", both, TRUSTED).address == "192.0.2.99"


@pytest.mark.parametrize("trusted", [(), TRUSTED])
@pytest.mark.parametrize("peer", ["", "testclient", "unix:", "fe80::1%eth0"])
def test_a_peer_without_an_address_that_is_known_is_never_trusted(peer: str, trusted: tuple[str, ...]) -> None:
    assert asker(peer, [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")], trusted) == Asker(peer)


@pytest.mark.parametrize(
    ("address", "of"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_neighbours(address: str, of: str) -> None:
    assert neighbourhood(address) == of


@given(st.lists(st.tuples(st.sampled_from(["forwarded", "x-forwarded-for"]), st.text(max_size=80))))
def test_whatever_is_told_the_client_has_an_address(fields: list[tuple[str, str]]) -> None:
    address = asker("10.1.2.3", fields, TRUSTED).address
    assert is_within(address, ("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize(
    ("given", "prefix"),
    [
        ("/llm", "/llm"),
        ("/llm/", "/llm"),
        ("/a/b-c.d", "/a/b-c.d"),
        ("/", ""),
        ("llm", ""),
        ("/x?y", ""),
        ("//evil", ""),
        ("/a, /b", "/a"),
    ],
)
def test_a_prefix_is_believed_of_trusted_peers_if_it_is_a_path(given: str, prefix: str) -> None:
    assert asker("10.1.2.3", [("x-forwarded-prefix", given)], TRUSTED).prefix == prefix
    assert asker("192.0.2.200", [("x-forwarded-prefix", given)], TRUSTED).prefix == ""
