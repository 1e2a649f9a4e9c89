"""Who may send: AE titles and the addresses they come from."""

import ipaddress
import logging
import socket
from collections.abc import Sequence

from node.config import Peer

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PeerList:
    """The peers of ``receiver.peers``. An empty list allows everybody.

    A peer's ``hosts`` are addresses (``10.1.2.3``), networks (``10.1.0.0/16``) or names, which are looked up each time: the address
    behind a name may change.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._peers = tuple(peers)

    def allows(self, ae_title: str, address: str) -> bool:
        """Whether a peer of this AE title at this address may send."""
        if not self._peers:
            return True
        mine = [peer for peer in self._peers if peer.ae_title.strip() == ae_title]
        return any(not peer.hosts or any(_covers(host, address) for host in peer.hosts) for peer in mine)


def _covers(host: str, address: str) -> bool:
    remote = _plain(address)
    return any(remote in network for network in _networks(host))


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; an IPv4 address that came through an IPv6 socket as itself."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _networks(host: str) -> list[Network]:
    try:
        return [ipaddress.ip_network(host, strict=False)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError as error:
        log.warning("receiver.peers: %s cannot be looked up: %s", host, error)
        return []
    return [ipaddress.ip_network(str(entry[4][0]).split("%")[0]) for entry in found]
