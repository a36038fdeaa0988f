"""Which addresses are of the public internet. Invariant: what is not known to be public is not.

The networks are those of the IANA registries of special-purpose addresses, each with the reason why it is none of an
agent's. `ipaddress.is_global` alone would let through multicast, relays, and clouds' own addresses.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

_SPECIAL_V4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # unspecified, "this network"
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # a cloud's own services, in public space
            "169.254.0.0/16",  # link-local; clouds' metadata at 169.254.169.254
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # multicast relays
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_UNICAST_V6: Final = ip_network("2000::/3")
"""All in public use. Outside lie loopback, mapped and compatible IPv4, NAT64, private, link-local and multicast."""

_SPECIAL_V6: Final = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments; Teredo, which embeds an IPv4 address
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which embeds an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(address: str) -> bool:
    """Whether `address`, as a resolver gives it, may be connected to. False for what is no address, and for zones."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return parsed.is_global and not any(parsed in network for network in _SPECIAL_V4)
    if parsed.scope_id is not None or parsed not in _UNICAST_V6:
        return False
    return parsed.is_global and not any(parsed in network for network in _SPECIAL_V6)
