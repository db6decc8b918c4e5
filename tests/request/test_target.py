"""Target: every form of a function name, in every partition."""

import functools
import re
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke._request.target import Target
from asyncinvoke.errors import InvalidRequestError

REGIONS = {
    "aws": "eu-west-1",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-eusc": "eusc-de-east-1",
}
ACCOUNT = "123456789012"
WORD = st.text("abcXYZ019-_", min_size=1, max_size=64)
AWKWARD = st.sampled_from(["function", ACCOUNT, "us-east-1", "lambda", "aws", "a.b", "-", "arn-1"])
QUALIFIERS = st.none() | st.sampled_from(["$LATEST", "$LATEST.PUBLISHED", "1", "live"]) | WORD


@functools.cache
def of_model(shape: str) -> Any:
    model = botocore.session.get_session().get_service_model("lambda")
    return model.shape_for(shape).metadata


@st.composite
def targets(draw: st.DrawFn) -> Target:
    form = draw(st.sampled_from(["name", "account", "region", "region and account", "arn"]))
    partition, region = draw(st.sampled_from(list(REGIONS.items())))
    return Target(
        name=draw(WORD | AWKWARD),
        qualifier=draw(QUALIFIERS),
        partition=partition if form == "arn" else None,
        region=region if form in ("region", "region and account", "arn") else None,
        account_id=ACCOUNT if form in ("account", "region and account", "arn") else None,
    )


@given(targets())
def test_a_target_survives_being_written_and_read(target: Target) -> None:
    assert Target.parse(str(target)) == target
    bare = Target.parse(target.function_name, target.qualifier)
    assert bare == target


@given(targets())
def test_what_is_sent_fits_the_pattern_of_the_service_model(target: Target) -> None:
    name = of_model("NamespacedFunctionName")
    assert re.fullmatch(name["pattern"], target.function_name)
    assert re.fullmatch(name["pattern"], str(target))
    assert len(target.function_name) <= name["max"]
    qualifier = of_model("NumericLatestPublishedOrAliasQualifier")
    assert target.qualifier is None or re.fullmatch(qualifier["pattern"], target.qualifier)


@given(st.text("abn19:$-_. /\n", max_size=20) | st.text(max_size=20))
def test_whatever_is_accepted_fits_the_service_model(text: str) -> None:
    try:
        target = Target.parse(text)
    except InvalidRequestError:
        return
    pattern = of_model("NamespacedFunctionName")["pattern"]
    assert re.fullmatch(pattern, text, re.ASCII)
    assert re.fullmatch(pattern, target.function_name, re.ASCII)


@pytest.mark.parametrize(("partition", "region"), REGIONS.items())
def test_an_arn_is_read_in_every_partition(partition: str, region: str) -> None:
    arn = f"arn:{partition}:lambda:{region}:{ACCOUNT}:function:resize"
    target = Target.parse(f"{arn}:live")
    assert target == Target(
        name="resize", qualifier="live", partition=partition, region=region, account_id=ACCOUNT
    )
    assert target.function_name == arn
    assert str(target) == f"{arn}:live"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resize", Target(name="resize")),
        ("resize:live", Target(name="resize", qualifier="live")),
        ("resize:$LATEST", Target(name="resize", qualifier="$LATEST")),
        ("function:resize", Target(name="resize")),
        (f"{ACCOUNT}:resize", Target(name="resize", account_id=ACCOUNT)),
        (f"{ACCOUNT}:function:resize:7", Target(name="resize", qualifier="7", account_id=ACCOUNT)),
        (
            f"eu-west-1:{ACCOUNT}:function:resize",
            Target(name="resize", account_id=ACCOUNT, region="eu-west-1"),
        ),
        (ACCOUNT, Target(name=ACCOUNT)),
        ("function", Target(name="function")),
    ],
)
def test_every_short_form_is_read(text: str, expected: Target) -> None:
    assert Target.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "resize:",
        ":live",
        "resize:live:1",
        "resize\n",
        "résize",
        "resize:$latest",
        "arn:aws:s3:::bucket",
        f"arn:aws:lambda:eu-west-1:{ACCOUNT}:layer:resize",
        f"arn:aws:lambda:eu-west-1:{ACCOUNT[:-1]}:function:resize",
        f"arn:aws:lambda:nowhere:{ACCOUNT}:function:resize",
        "../../etc/passwd",
    ],
)
def test_an_invalid_function_name_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="function_name") as caught:
        Target.parse(text)
    assert repr(text) in str(caught.value)


def test_lengths_are_checked_at_the_limit() -> None:
    assert Target.parse("n" * 64).name == "n" * 64
    with pytest.raises(InvalidRequestError, match=r"65 characters.*at most 64"):
        Target.parse("n" * 65)
    with pytest.raises(InvalidRequestError, match=r"257 characters.*1 to 256"):
        Target.parse("n" * 257)
    assert Target.parse("resize", "q" * 128).qualifier == "q" * 128
    with pytest.raises(InvalidRequestError, match="1 to 128"):
        Target.parse("resize", "q" * 129)


@pytest.mark.parametrize("qualifier", ["", "a b", "live\n", "$latest", "a:b", 7])
def test_an_invalid_qualifier_is_refused(qualifier: Any) -> None:
    with pytest.raises(InvalidRequestError, match="qualifier"):
        Target.parse("resize", qualifier)


def test_a_qualifier_given_twice_must_agree() -> None:
    assert Target.parse("resize:live", "live").qualifier == "live"
    with pytest.raises(InvalidRequestError, match=r"'blue' differs .* 'resize:live'"):
        Target.parse("resize:live", "blue")


@pytest.mark.parametrize("function_name", [None, 7, b"resize", ["resize"]])
def test_a_name_that_is_not_a_string_is_refused(function_name: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a string"):
        Target.parse(function_name)
