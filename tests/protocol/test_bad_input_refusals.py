"""A submit that the service refuses: one clear line, no purchase, and no second submit of the same try."""

from __future__ import annotations

import pytest
from complaints import PROMPT, Bench

from airflow_ltx.emulator import FaultRule
from airflow_ltx.exceptions import (
    AccessDenied,
    AuthenticationFailed,
    ConfigurationError,
    InsufficientCredits,
    ModelNotFound,
    ModelRetired,
    RequestRejected,
    SegmindError,
    SpendLimitReached,
)
from airflow_ltx.hooks.segmind import SegmindHook
from segmind_service import KEY

WRONG_KEY = "SG_ffffffffffffffff"


def refused(bench: Bench, why: str) -> None:
    """Arrange for the refusal."""
    segmind = bench.segmind
    match why:
        case "wrong key":
            bench.connect(password=WRONG_KEY)
        case "a key that is echoed":
            body = {"error": f"API key {KEY} is not known"}
            segmind.set_faults(FaultRule("submit", "before", "401", times=None, body=body))
        case "no credits, 402":
            segmind.configure(credits=0.0)
        case "no credits, 406":
            segmind.configure(credits=0.0, insufficient_status=406)
        case "too few credits":
            segmind.configure(credits=0.01, prices={"ltx-video": 0.02, "wan-2.2-t2v-fast": 0.02})
        case "team limit":
            segmind.set_faults("submit:before:406:Team spend limit of $10 exceeded for this month*inf")
        case "retired":
            segmind.configure(retired=["ltx-video", "wan-2.2-t2v-fast"])
        case "restricted":
            segmind.configure(restricted=["ltx-video", "wan-2.2-t2v-fast"])
        case "another refusal":
            segmind.set_faults("submit:before:400:Request body is not a valid JSON object*inf")


NO_CREDITS = ["Nothing was billed", "add credits in the Segmind console"]
REFUSALS: dict[str, tuple[type[SegmindError], list[str]]] = {
    "wrong key": (
        AuthenticationFailed,
        ["HTTP 401", "Nothing was billed", "correct the password of the Segmind connection"],
    ),
    "a key that is echoed": (AuthenticationFailed, ["API key *** is not known"]),
    "no credits, 402": (InsufficientCredits, ["HTTP 402", *NO_CREDITS]),
    "no credits, 406": (InsufficientCredits, ["HTTP 406", *NO_CREDITS]),
    "too few credits": (InsufficientCredits, ["You have 0.01 credits", *NO_CREDITS]),
    "team limit": (
        SpendLimitReached,
        ["HTTP 406", "Team spend limit of $10", "Nothing was billed", "raise it in the Segmind console"],
    ),
    "retired": (ModelRetired, ["HTTP 410", "Nothing was billed", "choose another one"]),
    "restricted": (AccessDenied, ["HTTP 403", "Nothing was billed", "use another key"]),
    "another refusal": (RequestRejected, ["HTTP 400", "Nothing was billed", "correct them"]),
}


@pytest.mark.parametrize(
    "arguments",
    [{"deferrable": True}, {"deferrable": False}, {"wait_for_completion": False}],
    ids=["deferrable", "blocking", "submit only"],
)
@pytest.mark.parametrize("kind", ["video", "model"])
@pytest.mark.parametrize("why", REFUSALS)
def test_a_refusal_is_one_clear_line_and_final(bench, why, kind, arguments):
    refused(bench, why)
    run = getattr(bench, kind)(**arguments)
    said = bench.complaints(run, final=True)
    assert [part for part in REFUSALS[why][1] if part not in said] == []
    # One submit a try, and none of them became a request.
    assert len(bench.segmind.ledger.submissions) + len(bench.segmind.ledger.faults) == run.tries
    assert bench.segmind.ledger.accepted() == []
    (purchase,) = run.purchases
    assert (purchase["phase"], purchase["request_id"]) == ("failed", None)
    assert run.deferred == []


@pytest.mark.parametrize("why", REFUSALS)
async def test_the_hook_raises_the_same_and_buys_nothing(bench, why):
    refused(bench, why)
    kind, parts = REFUSALS[why]
    with pytest.raises(kind) as first:
        SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    with pytest.raises(kind) as second:
        await SegmindHook().asubmit("ltx-video", {"prompt": PROMPT})
    assert str(first.value) == str(second.value)
    assert first.value.retryable is False
    assert [part for part in parts if part not in str(first.value)] == []
    assert [secret for secret in bench.secrets if secret in str(first.value)] == []
    assert bench.segmind.ledger.accepted() == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("model", ["no-such-model", "{{ 'no-such' ~ '-model' }}"])
def test_an_unknown_slug_is_named(bench, model, deferrable):
    said = bench.complaints(bench.model(model=model, deferrable=deferrable), final=True)
    assert "No model has the slug 'no-such-model'" in said
    assert "Nothing was billed" in said
    assert bench.segmind.ledger.accepted() == []
    with pytest.raises(ModelNotFound, match="No model has the slug 'no-such-model'"):
        SegmindHook().submit("no-such-model", {})


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("model", ["LTX Video", "../v1/get-user-credits", "ltx-video/x", "ltx-video?a=b", ""])
def test_what_can_be_no_slug_is_never_sent(bench, model, deferrable):
    said = bench.complaints(bench.model(model=f"{{{{ {model!r} }}}}", deferrable=deferrable), final=True)
    assert f"model is {model!r}; it must be the model's slug" in said
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("password", [None, "", "  ", "SG 0123", "SG_0123\nx", "SG_é"])
def test_a_key_that_is_missing_or_no_key_is_found_before_anything_is_sent(bench, password, deferrable):
    bench.connect(password=password)
    runs = [bench.video(deferrable=deferrable), bench.sensor("0" * 32, deferrable=deferrable)]
    for run in runs:
        said = bench.complaints(run, final=True)
        assert "Connection 'segmind_default': " in said
        assert "API key" in said
        assert "Nothing was sent" in said
    with pytest.raises(ConfigurationError, match="API key"):
        SegmindHook().submit("ltx-video", {"prompt": PROMPT})
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("why", ["wrong key", "no credits, 402", "retired"])
def test_a_refusal_names_the_request_that_a_changed_prompt_left_behind(bench, why, deferrable):
    bench.segmind.configure(inference_seconds=30)
    run = bench.video(deferrable=deferrable, timeout=0.1)
    bench.complaint(run, final=False)
    (bought,) = bench.bought()
    refused(bench, why)
    run.build = bench.video(prompt=f"{PROMPT} at night", deferrable=deferrable).build
    bench.complaints(run, final=True)
    assert f"Abandoned request {bought} of an earlier try" in bench.log
    assert bench.bought() == [bought]


@pytest.mark.parametrize(
    "text",
    [
        "Team spend limit exceeded",
        "Spending limit of your team is reached",
        "The team's monthly budget is exhausted",
        "Team limit reached",
        "Your team has reached its credit limit",
    ],
)
def test_a_team_limit_in_other_words_is_still_one(bench, text):
    bench.segmind.set_faults(f"submit:before:406:{text}*inf")
    said = bench.complaint(bench.video(), final=True)
    assert text in said
    assert "The team's spend limit is used up: raise it in the Segmind console" in said
