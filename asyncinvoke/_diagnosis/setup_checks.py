"""What this process and its settings mean, and what to do about them: one pure function per check."""

import difflib
import re
from collections.abc import Collection, Mapping
from datetime import datetime

from asyncinvoke._diagnosis.checks import (
    NOTE,
    OK,
    RENEW,
    WRONG,
    Check,
    check_of,
    skipped,
    span,
)
from asyncinvoke._diagnosis.facts import CORE, OPTIONAL, Credentials, Files, Setting

FEW_FILES = 100
"""The minimum number of connections that an ordinary `map` needs."""

MANY_FILES = 1000
"""The default maximum number of attempts that an invoker has in flight."""

KEPT_FILES = 16
"""The number of files reserved for everything but connections."""

SOON = 300.0
"""How long before the expiry of credentials a note is given, in seconds."""

_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")
"""What botocore accepts as a region: it becomes part of a host name."""


def versions(found: Mapping[str, str | None]) -> Check:
    """Report the versions of the libraries in use."""
    missing = [name for name in CORE if found.get(name) is None]
    detail = ", ".join(f"{name} {found[name]}" for name in CORE if found.get(name) is not None)
    extras = [f"{name} {found[name]}" for name in OPTIONAL if found.get(name) is not None]
    if extras:
        detail += f"; also {', '.join(extras)}"
    if missing:
        return check_of(
            "versions",
            WRONG,
            f"{detail}; not installed: {', '.join(missing)}",
            "reinstall it: pip install --force-reinstall asyncinvoke",
            found,
        )
    return check_of("versions", OK, detail, None, found)


def python(found: Mapping[str, str]) -> Check:
    """Report the Python interpreter."""
    detail = (
        f"{found['implementation']} {found['version']} on {found['platform']} "
        f"({found['machine']}), {found['openssl']}"
    )
    return check_of("python", OK, detail, None, found)


def event_loop(name: str) -> Check:
    """Report the running event loop."""
    return check_of("event loop", OK, name, None, {"name": name})


def open_files(files: Files) -> Check:
    """Judge how many connections this process can open."""
    facts = {"soft": files.soft, "hard": files.hard, "open": files.open}
    if files.soft is None:
        return check_of("open files", OK, "no limit that is known", None, facts)
    room = max(files.soft - files.open - KEPT_FILES, 0)
    detail = f"{files.open:,} of {files.soft:,} are open: room for {room:,} connections"
    if room >= MANY_FILES:
        return check_of("open files", OK, detail, None, facts)
    if files.hard is None or files.hard > files.soft:
        most = "any number" if files.hard is None else f"{files.hard:,}"
        advice = (
            f"`ulimit -n` can raise the limit up to {most}; the commands do that themselves, "
            "a program of yours by resource.setrlimit"
        )
    else:
        advice = "the hard limit is no higher: raise it in limits.conf, systemd's LimitNOFILE or docker's --ulimit"
    return check_of("open files", WRONG if room < FEW_FILES else NOTE, detail, advice, facts)


def region(setting: Setting, *, aws_region: str | None, known: Collection[str] = ()) -> Check:
    """Judge the region in use.

    Args:
        setting: The region found by botocore.
        aws_region: The value of `AWS_REGION`, which other SDKs read and botocore does not.
        known: The regions that botocore knows; empty if the region does not matter.
    """
    facts = {"value": setting.value, "source": setting.source}
    if setting.flaw is not None:
        return check_of("region", WRONG, setting.flaw, _OTHER_PROFILE, facts)
    if setting.value is None:
        advice = "set AWS_DEFAULT_REGION, or give one: region_name=, --region, or `region` in ~/.aws/config"
        if aws_region:
            advice = f"AWS_REGION is set, which botocore does not read: export AWS_DEFAULT_REGION={aws_region}"
        return check_of("region", WRONG, "none is known", advice, facts)
    detail = f"{setting.value}, from {setting.source}"
    if _REGION.fullmatch(setting.value) is None:
        detail += "; no region can be called that"
        return check_of("region", WRONG, detail, f"correct it in {setting.source}", facts)
    if aws_region and aws_region != setting.value:
        advice = "botocore does not read AWS_REGION: if that one is meant, set AWS_DEFAULT_REGION"
        return check_of("region", NOTE, f"{detail}; AWS_REGION says {aws_region}", advice, facts)
    if known and setting.value not in known:
        near = difflib.get_close_matches(setting.value, known, n=1)
        advice = f"is it {near[0]}? " if near else ""
        advice += "a region that botocore has not heard of yet works as well; a typo does not"
        return check_of("region", NOTE, f"{detail}; botocore knows no such region", advice, facts)
    return check_of("region", OK, detail, None, facts)


def credentials(found: Credentials, *, now: datetime) -> Check:
    """Judge the credentials by source, kind and expiry."""
    kind = "temporary" if found.is_temporary else "long-term"
    facts = {
        "source": found.source,
        "kind": None if found.source is None else kind,
        "expires": None if found.expires is None else found.expires.isoformat(),
    }
    if found.source is None:
        if found.flaw is None:
            return check_of("credentials", WRONG, "none were found", _NEW_KEYS, facts)
        return check_of("credentials", WRONG, found.flaw, _advice_on_source(found.flaw), facts)
    detail = f"{kind}, from {found.source}"
    left = None if found.expires is None else (found.expires - now).total_seconds()
    if left is not None and left <= 0:
        detail += f"; they expired {span(-left)} ago"
        return check_of("credentials", WRONG, detail, RENEW, facts)
    if found.flaw is not None:
        advice = RENEW if found.is_temporary else _SET_AGAIN
        return check_of("credentials", WRONG, f"{detail}; {found.flaw}", advice, facts)
    if left is None:
        return check_of("credentials", OK, detail, None, facts)
    detail += f"; they end in {span(left)}"
    if left < SOON:
        return check_of("credentials", NOTE, detail, RENEW, facts)
    return check_of("credentials", OK, detail, None, facts)


def _advice_on_source(flaw: str) -> str:
    if flaw.startswith(("nothing within", "CredentialRetrievalError", "AWS_CONTAINER")):
        return _NO_GIVER
    return _SET_AGAIN if _IN_THE_ENVIRONMENT.search(flaw) else _OTHER_PROFILE


def endpoint(setting: Setting) -> Check:
    """Judge the endpoint URL."""
    facts = {"url": setting.value, "source": setting.source}
    detail = f"{setting.value}, from {setting.source}"
    if setting.flaw is not None:
        return check_of("endpoint", WRONG, setting.flaw, f"correct it in {setting.source}", facts)
    if setting.value is None:
        return skipped("endpoint", "it needs a client, and that a region and credentials")
    return check_of("endpoint", OK, detail, None, facts)


def proxy(setting: Setting) -> Check:
    """Report the proxy in use."""
    facts = {"url": setting.value, "source": setting.source}
    if setting.value is None:
        none = "none" if setting.source == "the environment" else f"none ({setting.source})"
        return check_of("proxy", OK, none, None, facts)
    return check_of("proxy", OK, f"{setting.value}, from {setting.source}", None, facts)


def ca_bundle(setting: Setting) -> Check:
    """Judge the CA bundle in use."""
    facts = {"path": setting.value, "source": setting.source}
    if setting.flaw is not None:
        return check_of("certificates", WRONG, setting.flaw, _BUNDLE, facts)
    detail = setting.source if setting.value is None else f"{setting.value}, from {setting.source}"
    return check_of("certificates", OK, detail, None, facts)


_NEW_KEYS = (
    "give some: AWS_PROFILE or --profile, `aws sso login`, `aws configure`, or a role; against a "
    "local endpoint any will do: AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
)
_OTHER_PROFILE = (
    "correct it in AWS's config file, or choose another profile: AWS_PROFILE, --profile "
    "(`aws configure list-profiles` has their names)"
)
_NO_GIVER = (
    "look at what is to give them: a credential_process, the role of the container or the instance, "
    "AWS_PROFILE"
)
_IN_THE_ENVIRONMENT = re.compile(r"^AWS_(?!CONTAINER)|found in env\b")
_SET_AGAIN = "set them again, as they were given"
_BUNDLE = "point it to a readable file of PEM certificates, or unset it"
