"""Tags and permissions: stored and returned, without effect on how a function runs."""

import json
from collections.abc import Sequence
from typing import Any

from asyncinvoke.local.functions.versions import Versions
from asyncinvoke.local.management import describe
from asyncinvoke.local.management.request import Members, NamedFunction
from asyncinvoke.local.protocol import names, refusals
from asyncinvoke.local.protocol.names import LATEST

MOST_TAGS = 50
"""The maximum number of tags of a function (AWS's quota)."""


def list_tags(function: NamedFunction) -> dict[str, Any]:
    """`ListTags`."""
    return {"Tags": dict(_of_function(function).tags)}


def tag(function: NamedFunction, members: Members) -> None:
    """`TagResource`."""
    tags = members.texts("Tags")
    if not tags:
        raise refusals.invalid("An error occurred and the request cannot be processed.")
    add_tags(_of_function(function), tags)


def untag(function: NamedFunction, keys: Sequence[str]) -> None:
    """`UntagResource`; an unknown tag is not an error, as in AWS."""
    if not keys:
        raise refusals.violated(names.missing(tagKeys=None))
    for key in keys:
        _of_function(function).tags.pop(key, None)


def add_tags(versions: Versions, tags: dict[str, str]) -> None:
    """Add or replace tags.

    Raises:
        Refusal: There would be too many tags.
    """
    both = versions.tags | tags
    check_tags(both)
    versions.tags = both


def check_tags(tags: dict[str, str]) -> None:
    """Check the number of tags.

    Raises:
        Refusal: It exceeds `MOST_TAGS`.
    """
    if len(tags) > MOST_TAGS:
        raise refusals.invalid("Number of tags exceeds resource tag limit.")


def _of_function(function: NamedFunction) -> Versions:
    if function.qualifier is not None:
        raise refusals.invalid(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return function.versions


# The operator and key of the condition for each member of AddPermission.
_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
}


def get_policy(function: NamedFunction, *, now: float) -> dict[str, Any]:
    """`GetPolicy`."""
    statements = _statements(function)
    if not statements:
        raise refusals.nothing_there()
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": [*statements.values()]}
    versions = function.versions
    return {
        "Policy": json.dumps(policy, separators=(",", ":")),
        "RevisionId": describe.revision(function.config, versions, now),
    }


def add_permission(function: NamedFunction, members: Members, *, now: float) -> dict[str, Any]:
    """`AddPermission`."""
    sid, action, principal = (members.text(n) for n in ("StatementId", "Action", "Principal"))
    missing = names.missing(statementId=sid, action=action, principal=principal)
    if sid is None or action is None or principal is None:
        raise refusals.violated(missing)
    function.check_revision(members.text("RevisionId"), now=now)
    statements = _statements(function)
    if sid in statements:
        raise refusals.conflict(
            f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
            "or remove the existing statement."
        )
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": _principal(principal),
        "Action": action,
        "Resource": function.arn,
    }
    conditions: dict[str, dict[str, str]] = {}
    for member, (operator, key) in _CONDITIONS.items():
        value = members.text(member)
        if value is not None:
            conditions.setdefault(operator, {})[key] = value
    if conditions:
        statement["Condition"] = conditions
    statements[sid] = statement
    return {"Statement": json.dumps(statement, separators=(",", ":"))}


def remove_permission(
    function: NamedFunction, sid: str, revision_id: str | None, *, now: float
) -> None:
    """`RemovePermission`."""
    function.check_revision(revision_id, now=now)
    if _statements(function).pop(sid, None) is None:
        raise refusals.not_found(
            f"Statement {sid} is not found in resource policy."
            if _statements(function)
            else "No policy is associated with the given resource."
        )


def _statements(function: NamedFunction) -> dict[str, dict[str, Any]]:
    function.config  # noqa: B018  # raises for an unknown qualifier
    qualifier = function.qualifier or LATEST
    return function.versions.policies.setdefault(qualifier, {})


def _principal(text: str) -> str | dict[str, str]:
    if text == "*":
        return text
    if text.isdecimal():
        return {"AWS": f"arn:aws:iam::{text}:root"}
    return {"AWS" if text.startswith("arn:") else "Service": text}
