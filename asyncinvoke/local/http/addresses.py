"""Where an endpoint may listen: on loopback, and elsewhere only if that is allowed.

No I/O, no clock.
"""

import ipaddress

LOOPBACK = "127.0.0.1"


def check_host(host: str, *, allow_remote: bool) -> str:
    """Return the address to listen on.

    Args:
        host: An IP address, or `localhost`.
        allow_remote: Whether it may be one that other machines reach.

    Raises:
        ValueError: It is not an address, or other machines reach it and that is not allowed.
    """
    if is_remote(host) and not allow_remote:
        raise ValueError(
            f"host {host!r} would let other machines run code here: if that is meant, say "
            "allow_remote (--allow-remote) as well"
        )
    return LOOPBACK if host == "localhost" else host


def is_remote(host: str) -> bool:
    """Return whether other machines reach an address.

    Raises:
        ValueError: It is not an address.
    """
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ValueError(f"host {host!r} must be an IP address, or localhost") from None


def url_of(host: str, port: int) -> str:
    """Return the URL by which this machine reaches an address."""
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = LOOPBACK if address.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
