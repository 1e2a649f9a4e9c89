"""Who may send."""

import pytest

from node.config import Peer
from node.receive.peers import PeerList

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("ae_title", "address", "allowed"),
    [
        ("CT1", "10.0.0.5", True),
        ("CT1", "10.0.0.6", False),
        ("CT1", "::ffff:10.0.0.5", True),
        ("CT2", "10.1.255.1", True),
        ("CT2", "10.2.0.1", False),
        ("CT2", "fe80::1%eth0", True),
        ("ANY", "192.168.7.7", True),
        ("LOCAL", "127.0.0.1", True),
        ("LOCAL", "10.0.0.5", False),
        ("LOST", "10.0.0.5", False),
        ("ct1", "10.0.0.5", False),
        ("CT3", "10.0.0.5", False),
    ],
)
def test_title_and_address(ae_title: str, address: str, allowed: bool) -> None:
    peers = PeerList(
        [
            Peer(ae_title="CT1", hosts=("10.0.0.5",)),
            Peer(ae_title="CT2", hosts=("10.1.0.0/16", "fe80::/10")),
            Peer(ae_title="ANY"),
            Peer(ae_title="LOCAL", hosts=("localhost",)),
            Peer(ae_title="LOST", hosts=("no-such-host.invalid",)),
        ]
    )
    assert peers.allows(ae_title, address) is allowed


def test_an_empty_list_allows_everybody() -> None:
    assert PeerList([]).allows("ANYBODY", "203.0.113.9")
