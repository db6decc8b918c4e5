"""Access control of the endpoint: where it may listen, and which requests it refuses.

It listens on loopback, and elsewhere only if that is allowed. A web page may not ask, which any site
that a developer visits can be. It can send a POST with a body of its choice to a server on loopback,
without asking first, as long as it sets no header of its own. It cannot keep the browser from saying
where it comes from:

1. `Origin` comes with every POST, and `Sec-Fetch-Site` with every request of a newer browser. What
   names another site is refused; the endpoint serves no page, so there is no site of its own that
   anybody would miss.
2. A page may come from a name that its owner has led to this machine meanwhile (DNS rebinding).
   Then the two agree, but the name is in `Host`: only names that nobody else can own are taken.

No I/O, no clock.
"""

import ipaddress
from collections.abc import Collection, Sequence
from functools import lru_cache

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


_OWN_SITES = frozenset({"same-origin", "none"})  # `none` is what a user typed


def refusal_of(
    *,
    hosts: Sequence[str],
    origins: Sequence[str] = (),
    sites: Sequence[str] = (),
    authority: str | None = None,
    is_old: bool = False,
    allowed_hosts: frozenset[str] = frozenset(),
) -> str | None:
    """Return why a request is refused; None if it is not.

    Args:
        hosts: Every `Host` header.
        origins: Every `Origin` header.
        sites: Every `Sec-Fetch-Site` header.
        authority: The host and the port of a target that names them; it is held to the same rule.
        is_old: Whether it is HTTP/1.0, which needs no `Host`, and which no browser speaks.
        allowed_hosts: Names to take beside those of this machine, in lower case.
    """
    if len(hosts) > 1 or (not hosts and not is_old):
        return "it must say once for which Host it is"
    for host in (*hosts, authority):
        if host is not None and not _is_taken(host, allowed_hosts):
            return (
                "its Host is neither an address nor a name of this machine; names of your own: "
                "allowed_hosts (--allowed-host)"
            )
    if any(site.strip().lower() not in _OWN_SITES for site in sites):
        return "a web page of another site sent it (Sec-Fetch-Site)"
    if origins and any(origin.strip().lower() not in _own(hosts) for origin in origins):
        return "a web page of another site sent it (Origin)"
    return None


def check_names(names: Collection[str]) -> frozenset[str]:
    """Return host names in lower case.

    Raises:
        ValueError: One is no host name without a port, or they are one text.
    """
    if isinstance(names, str):
        raise ValueError(f"allowed_hosts={names!r} must be a list of names")  # noqa: TRY004  # as for any wrong value
    for name in names:
        labels = name.split(".")
        if not all(label.replace("-", "").replace("_", "").isalnum() for label in labels):
            raise ValueError(f"allowed host {name!r} must be a name, without a port")
    return frozenset(name.lower() for name in names)


def _own(hosts: Sequence[str]) -> set[str]:
    return {f"{scheme}://{host.strip().lower()}" for scheme in ("http", "https") for host in hosts}


@lru_cache(maxsize=1024)  # each request asks, and mostly for the same
def _is_taken(host: str, allowed_hosts: frozenset[str]) -> bool:
    name = _without_port(host.strip().lower())
    if name is None:
        return False
    if name.startswith("["):
        return name.endswith("]") and _is_address(name[1:-1])
    name = name.removesuffix(".")
    return (
        name == "localhost"
        or name.endswith(".localhost")  # reserved: nobody can lead it elsewhere (RFC 6761)
        or name in allowed_hosts
        or _is_address(name)
    )


def _without_port(host: str) -> str | None:
    """Return a host without its port; None if what stands there is no port."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host
    return name if port == "" or (port.isascii() and port.isdigit()) else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
