"""Access control of the endpoint: the addresses it may listen on, and the requests it rejects.

It listens on loopback, and elsewhere only if that is allowed. Web pages must not use it, and any site
that a developer visits may try: a page can send a POST with any body to a server on loopback,
without a preflight request, as long as it sets no custom header. It cannot prevent the browser from
telling its origin:

1. Every POST has an `Origin` header, and every request of a newer browser `Sec-Fetch-Site`. A
   request that names another site is rejected; the endpoint serves no page, so it has no site of its
   own.
2. The page's own name may by now resolve to this machine (DNS rebinding). Then the headers agree,
   but the name is in `Host`: only names that nobody else can own are accepted.

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
        allow_remote: Whether other machines may reach it.

    Raises:
        ValueError: It is not an address, or other machines can reach it and that is not allowed.
    """
    if is_remote(host) and not allow_remote:
        raise ValueError(
            f"host {host!r} would let other machines run code here: if that is meant, say "
            "allow_remote (--allow-remote) as well"
        )
    return LOOPBACK if host == "localhost" else host


def is_remote(host: str) -> bool:
    """Return whether other machines can reach an address.

    Raises:
        ValueError: It is not an IP address or `localhost`.
    """
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise ValueError(f"host {host!r} must be an IP address, or localhost") from None


def is_any(host: str) -> bool:
    """Return whether an address stands for all addresses of this machine."""
    return host != "localhost" and ipaddress.ip_address(host).is_unspecified


def url_of(host: str, port: int) -> str:
    """Return the URL of an address and port, as seen from this machine."""
    if is_any(host):
        host = "::1" if ":" in host else LOOPBACK
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


_OWN_SITES = frozenset({"same-origin", "none"})  # `none`: the user typed the URL


def refusal_of(
    *,
    hosts: Sequence[str],
    origins: Sequence[str] = (),
    sites: Sequence[str] = (),
    authority: str | None = None,
    is_old: bool = False,
    allowed_hosts: frozenset[str] = frozenset(),
) -> str | None:
    """Return why a request is rejected; None if it is accepted.

    Args:
        hosts: Every `Host` header.
        origins: Every `Origin` header.
        sites: Every `Sec-Fetch-Site` header.
        authority: The host and port of an absolute request target; the same rule applies to it.
        is_old: Whether it is HTTP/1.0, which requires no `Host`, and which no browser uses.
        allowed_hosts: Names to accept besides those of this machine, in lower case.
    """
    if len(hosts) > 1 or (not hosts and not is_old):
        return "it must say once for which Host it is"
    for host in (*hosts, authority):
        if host is not None and not _is_accepted(host, allowed_hosts):
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
        ValueError: A name is not a host name without a port, or the argument is a single string.
    """
    if isinstance(names, str) or not isinstance(names, Collection):
        raise ValueError(f"allowed_hosts={names!r} must be a list of names")  # noqa: TRY004  # as for any invalid value
    for name in names:
        labels = name.split(".") if isinstance(name, str) else [""]
        if not all(label.replace("-", "").replace("_", "").isalnum() for label in labels):
            raise ValueError(f"allowed host {name!r} must be a name, without a port")
    return frozenset(name.lower() for name in names)


def _own(hosts: Sequence[str]) -> set[str]:
    return {f"{scheme}://{host.strip().lower()}" for scheme in ("http", "https") for host in hosts}


@lru_cache(maxsize=1024)  # called for each request, mostly with the same host
def _is_accepted(host: str, allowed_hosts: frozenset[str]) -> bool:
    name = _without_port(host.strip().lower())
    if name is None:
        return False
    if name.startswith("["):
        return name.endswith("]") and _is_address(name[1:-1])
    name = name.removesuffix(".")
    return (
        name == "localhost"
        or name.endswith(".localhost")  # reserved for loopback (RFC 6761)
        or name in allowed_hosts
        or _is_address(name)
    )


def _without_port(host: str) -> str | None:
    """Return a host without its port; None if the port is invalid."""
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
