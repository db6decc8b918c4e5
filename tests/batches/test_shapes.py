"""How each shape encodes items and parses responses: tables, and responses that do not fit."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncinvoke import Batch, ConfigurationError, InvalidRequestError, ItemFailed
from asyncinvoke._batches.batch import checked_batch, format_of
from asyncinvoke._batches.parsing import elements
from asyncinvoke._batches.shape import BatchItem, MisfitError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def items(*payloads: Any, key: str | None = None) -> list[BatchItem]:
    return [
        BatchItem(index=7 + number, key=key, payload=json.dumps(payload).encode())
        for number, payload in enumerate(payloads)
    ]


def packed(batch: Batch, gathered: Sequence[BatchItem]) -> Any:
    made = format_of(batch)
    return json.loads(made.pack(gathered, [made.piece(item) for item in gathered]))


def unpacked(shape: Any, answer: object, count: int = 2) -> list[Any]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    results = format_of(Batch(count, shape=shape)).unpack(body, items(*range(count)))
    return [each if isinstance(each, ItemFailed) else json.loads(each) for each in results]


def test_a_list_is_the_payloads() -> None:
    assert packed(Batch(3), items({"a": 1}, "é", None)) == [{"a": 1}, "é", None]


def test_items_have_ids_and_keys_and_what_is_common() -> None:
    assert packed(Batch(2, shape="items", common={"of": "all"}), items(1, 2)) == {
        "items": [{"id": "7", "payload": 1}, {"id": "8", "payload": 2}],
        "common": {"of": "all"},
    }
    assert packed(Batch(2, shape="items"), items(1, key="ä")) == {
        "items": [{"id": "7", "key": "ä", "payload": 1}]
    }


def test_what_step_functions_would_send() -> None:
    batch = Batch(2, shape="stepfunctions", common={"of": "all"})
    assert packed(batch, items(1, 2)) == {"BatchInput": {"of": "all"}, "Items": [1, 2]}
    assert packed(Batch(2, shape="stepfunctions"), items(1)) == {"Items": [1]}


def test_records_of_sqs_have_their_payload_as_text() -> None:
    (record,) = packed(Batch(2, shape="sqs"), items({"a": "é"}, key="k"))["Records"]
    assert (record["messageId"], json.loads(record["body"])) == ("7", {"a": "é"})
    assert record["messageAttributes"]["key"]["stringValue"] == "k"
    assert record["eventSource"] == "aws:sqs"


@given(payloads=st.lists(JSON, min_size=1, max_size=5), results=st.lists(JSON, max_size=8))
def test_payloads_arrive_and_results_come_back_as_they_are(
    payloads: list[Any], results: list[Any]
) -> None:
    gathered = items(*payloads)
    assert packed(Batch(9), gathered) == payloads
    assert packed(Batch(9, shape="stepfunctions"), gathered)["Items"] == payloads
    each = packed(Batch(9, shape="items"), gathered)["items"]
    assert [entry["payload"] for entry in each] == payloads
    records = packed(Batch(9, shape="sqs"), gathered)["Records"]
    assert [json.loads(record["body"]) for record in records] == payloads
    for indent in (None, 2):
        text = json.dumps(results, indent=indent)
        assert [json.loads(element) for element in elements(text.encode())] == results


def test_the_result_of_an_item_is_the_text_that_the_function_wrote() -> None:
    assert elements(b' [ 1.50 , 1e400,"\\u00e9" , {"a": 10000000000000000000000} ] ') == [
        b"1.50",
        b"1e400",
        b'"\\u00e9"',
        b'{"a": 10000000000000000000000}',
    ]


FAILED = ItemFailed(
    error_type="BatchItemFailure", error_message="the function named this item as failed"
)
LEFT_OUT = ItemFailed(
    error_type="MissingFromAnswer", error_message="the function's answer leaves this item out"
)

FITTING = [
    ("list", [1, None], [1, None]),
    ("stepfunctions", [1, 2], [1, 2]),
    ("sqs", b"", [None, None]),
    ("sqs", None, [None, None]),
    ("sqs", {}, [None, None]),
    ("sqs", {"batchItemFailures": None}, [None, None]),
    ("sqs", {"batchItemFailures": []}, [None, None]),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": "8"}]}, [None, FAILED]),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": "8"}] * 2}, [None, FAILED]),
    ("items", {"results": [{"id": "8", "result": 2}, {"id": "7", "result": None}]}, [None, 2]),
    ("items", {"results": [{"id": "8", "result": 2, "error": None}]}, [LEFT_OUT, 2]),
    ("items", {"results": []}, [LEFT_OUT, LEFT_OUT]),
    (
        "items",
        {
            "results": [
                {"id": "7", "error": {"type": "Busy", "message": "later"}},
                {"id": "8", "error": "no", "result": None},
            ]
        },
        [ItemFailed(error_type="Busy", error_message="later"), ItemFailed(error_message="no")],
    ),
    ("items", {"results": [{"id": "7", "error": {}}, {"id": "8", "result": 1}]}, [ItemFailed(), 1]),
    (
        "items",  # as Lambda writes an error
        {
            "results": [
                {"id": "7", "error": {"errorType": "Busy", "errorMessage": "later"}},
                {"id": "8", "error": {"type": 3, "errorType": "Odd", "message": ["no"]}},
            ]
        },
        [ItemFailed(error_type="Busy", error_message="later"), ItemFailed(error_type="Odd")],
    ),
]


@pytest.mark.parametrize(("shape", "answer", "results"), FITTING, ids=str)
def test_a_response_that_fits_gives_the_result_of_each_item(
    shape: Any, answer: object, results: list[Any]
) -> None:
    assert unpacked(shape, answer) == results


MISFITS = [
    ("list", [1], "the answer has 1 results for 2 items"),
    ("list", [1, 2, 3], "the answer has 3 results for 2 items"),
    ("list", {"a": 1}, "the answer is an object, and not a list"),
    ("list", "ok", "the answer is a string, and not a list"),
    ("list", b"", "the answer is null, and not a list"),
    ("list", None, "the answer is null, and not a list"),
    ("list", b"[1, 2", "the answer is not JSON"),
    ("list", b"[1, 2] 3", "the answer is not JSON"),
    ("list", b"[1 22]", "the answer is not JSON"),
    ("list", b"[1,]", "the answer is not JSON"),
    ("list", b'["\xff", 1]', "the answer is not JSON"),
    ("list", b"[" * 100_000, "the answer is not JSON"),
    ("stepfunctions", [], "the answer has 0 results for 2 items"),
    ("stepfunctions", 3, "the answer is a number, and not a list"),
    ("sqs", "ok", "the answer is a string, and not an object"),
    ("sqs", [], "the answer is a list, and not an object"),
    ("sqs", b"{", "the answer is not JSON"),
    ("sqs", {"batchItemFailures": "8"}, '"batchItemFailures" is a string, and not a list'),
    ("sqs", {"batchItemFailures": {}}, '"batchItemFailures" is an object, and not a list'),
    ("sqs", {"batchItemFailures": ["8"]}, 'has no "itemIdentifier"'),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": ""}]}, 'has no "itemIdentifier"'),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": None}]}, 'has no "itemIdentifier"'),
    ("sqs", {"batchItemFailures": [{"itemidentifier": "8"}]}, 'has no "itemIdentifier"'),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": 8}]}, "by a number, and not by a string"),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": 0}]}, "by a number, and not by a string"),
    ("sqs", {"batchItemFailures": [{"itemIdentifier": "6"}]}, '"6", which is not in the batch'),
    ("items", [1, 2], 'not an object with a list "results"'),
    ("items", {"results": {}}, 'not an object with a list "results"'),
    ("items", {}, 'not an object with a list "results"'),
    ("items", {"results": [1]}, 'is not an object with an "id"'),
    ("items", {"results": [{"result": 1}]}, 'is not an object with an "id"'),
    ("items", {"results": [{"id": 7, "result": 1}]}, "by a number, and not by a string"),
    ("items", {"results": [{"id": "9", "result": 1}]}, '"9", which is not in the batch'),
    ("items", {"results": [{"id": "7", "result": 1}] * 2}, "two results for item 7"),
    ("items", {"results": [{"id": "7"}]}, 'neither a "result" nor an "error"'),
    ("items", {"results": [{"id": "7", "result": 1, "error": {}}]}, 'both a "result" and an'),
    ("items", {"results": [{"id": "7", "error": 3}]}, "is a number, and not an object"),
]


@pytest.mark.parametrize(("shape", "answer", "says"), MISFITS, ids=lambda each: str(each)[:40])
def test_a_response_that_does_not_fit_gives_the_reason(
    shape: Any, answer: object, says: str
) -> None:
    with pytest.raises(MisfitError) as raised:
        unpacked(shape, answer)
    assert says in str(raised.value)


class Own:
    def __init__(self, unpack: Any) -> None:
        self.unpack = unpack

    def pack(self, items: Sequence[BatchItem], common: Any) -> Any:
        return {"n": [item.json() for item in items], "by": common}


def test_a_custom_shape_packs_and_unpacks() -> None:
    shape = Own(lambda answer, items: [ItemFailed(error_type="No"), answer["n"]])
    assert packed(Batch(2, shape=shape, common={1: 2}), items(1, 2)) == {
        "n": [1, 2],
        "by": {"1": 2},
    }
    assert unpacked(shape, {"n": 3}) == [ItemFailed(error_type="No"), 3]


def test_a_custom_shape_gets_an_integer_of_too_many_digits_as_a_float_and_others_as_they_are() -> (
    None
):
    shape = Own(lambda answer, items: [str(each) for each in answer])
    assert unpacked(shape, b"[-%b, 12345678901234567890]" % (b"9" * 5000)) == [
        "-inf",
        "12345678901234567890",
    ]


@pytest.mark.parametrize(
    ("unpack", "says"),
    [
        (lambda answer, items: answer["secret"], "the shape cannot read the answer: KeyError"),
        (lambda answer, items: [1], "the shape gave 1 results for 2 items"),
        (lambda answer, items: None, "the shape cannot read the answer: TypeError"),
        (lambda answer, items: [{1}, 2], "a result that is not JSON: it holds a value of type set"),
        (lambda answer, items: [ItemFailed, 2], "not JSON: it holds a value of type type"),
        (lambda answer, items: [KeyError("secret"), 2], "it holds a value of type KeyError"),
        (lambda answer, items: [10**5000, 2], "it holds an integer of more than 4,300 digits"),
        (lambda answer, items: [ItemFailed(error_type=5), 2], "an ItemFailed with a int in it"),  # type: ignore[arg-type]
    ],
)
def test_the_error_of_a_custom_shape_does_not_quote_the_response(unpack: Any, says: str) -> None:
    with pytest.raises(MisfitError, match=says) as raised:
        unpacked(Own(unpack), {"a": 1})
    assert "secret" not in str(raised.value)


async def _pack(items: object, common: object) -> None: ...


class Awaited:
    pack = unpack = staticmethod(_pack)


WRONG: list[tuple[Any, str]] = [
    (lambda: Batch(0), "batch items 0 must be a whole number from 1"),
    (lambda: Batch(True), "batch items True must be a whole number from 1"),
    (lambda: Batch(2.5), "batch items 2.5 must be a whole number from 1"),  # type: ignore[arg-type]
    (lambda: Batch(2, bytes=0), "batch bytes 0 must be a whole number from 1"),
    (lambda: Batch(2, bytes=6_291_457), "Lambda takes at most 6291456"),
    (lambda: Batch(2, shape="lists"), "'lists' is not one of list, items, sqs, stepfunctions"),  # type: ignore[arg-type]
    (lambda: Batch(2, shape=3), "batch shape int must have pack and unpack"),  # type: ignore[arg-type]
    (lambda: Batch(2, shape=Awaited()), "batch shape pack must be a plain function"),  # type: ignore[arg-type]
    (lambda: Batch(2, common=1), "batch common has no place in the shape list"),
    (lambda: Batch(2, shape="sqs", common=1), "batch common has no place in the shape sqs"),
    (lambda: Batch(2, shape="items", common={1j}), "holds a value of type set"),
    (lambda: checked_batch("50"), "batch '50' must be a number of items, or a Batch"),
    (lambda: checked_batch(True), "must be a number of items, or a Batch"),
]


@pytest.mark.parametrize(("make", "says"), WRONG, ids=[says for _, says in WRONG])
def test_a_batch_that_breaks_a_rule_is_one_clear_error(make: Any, says: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        make()
    assert says in str(raised.value)
    assert not isinstance(raised.value, ConfigurationError)


NUMBERS = ["9" * 5000, "1e400", "-0.0", "1.10", "0.10000000000000000555"]


@pytest.mark.parametrize("number", NUMBERS)
def test_no_digit_of_a_result_changes(number: str) -> None:
    results = f'[{number}, {{"n": [{number}]}}]'
    message = [number.encode(), f'{{"n": [{number}]}}'.encode()]
    gathered = items(0, 1)
    assert format_of(Batch(2)).unpack(results.encode(), gathered) == message
    answer = (
        f'{{"results": [ {{"result" : {number}, "id": "7" }},\n'
        f'{{"id":"8", "n": {number}, "result":{{"n": [{number}]}}}} ], "n": {number}}}'
    )
    assert format_of(Batch(2, shape="items")).unpack(answer.encode(), gathered) == message
    answer = f'{{"batchItemFailures": [], "n": {number}}}'
    assert format_of(Batch(2, shape="sqs")).unpack(answer.encode(), gathered) == [b"null"] * 2


WRONG_RESULTS = {
    "a dict": {"7": 1, "8": 2},
    "a text": "ab",
    "bytes": b"ab",
    "a set": {1, 2},
}


@pytest.mark.parametrize("results", WRONG_RESULTS.values(), ids=WRONG_RESULTS)
def test_a_response_of_the_right_length_that_is_no_list_is_refused(results: Any) -> None:
    with pytest.raises(MisfitError, match="the shape cannot read the answer: TypeError"):
        unpacked(Own(lambda _answer, _items: results), {})


@pytest.mark.parametrize("shape", ["list", "items", "sqs"])
def test_a_response_with_a_byte_order_mark_is_not_json(shape: Any) -> None:
    with pytest.raises(MisfitError, match="the answer is not JSON"):
        unpacked(shape, b"\xef\xbb\xbf[]")
