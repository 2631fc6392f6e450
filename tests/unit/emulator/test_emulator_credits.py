"""Credits, prices and the ledger."""

from __future__ import annotations

import json

import pytest
from emulation import KEY, PROMPT, world


def test_a_price_is_reserved_then_billed():
    w = world(credits=1.0)
    w.submit()
    assert w.core.balance(KEY) == (947_500, 0, 52_500)
    assert w.core.ledger.billed_total() == 0
    w.clock.now += 60
    assert w.core.balance(KEY) == (947_500, 52_500, 0)
    assert w.core.ledger.billed_total() == 0.0525
    assert w.call("GET", "/v1/get-user-credits").json() == {"credits": 0.9475, "free-credits": 0.0}


def test_a_failure_releases_the_reservation():
    w = world(credits=0.06)
    w.submit(steps=99)
    assert w.post().status == 402
    w.clock.now += 60
    assert w.core.balance(KEY) == (60_000, 0, 0)
    assert w.post().status == 200


@pytest.mark.parametrize(("code", "words"), [(402, "Insufficient credits."), (406, "Insufficient Credits.")])
def test_a_request_that_cannot_be_paid_is_refused(code, words):
    w = world(credits=0.05, insufficient_status=code)
    answer = w.post()
    assert (answer.status, answer.json()) == (code, {"error": f"{words} You have 0.05 credits."})
    assert w.core.ledger.purchases() == []
    w.core.configure({"credits": 0})
    assert w.post().json()["error"] == f"{words} You have 0.0 credits."


def test_workspaces_have_credits_of_their_own():
    w = world(credits=0.06)
    assert [w.post().status, w.post().status, w.post(key="SG_other").status] == [200, 402, 200]


def test_a_set_price_goes_before_the_seconds():
    w = world(prices={"ltx-video": 0.0575})
    request_id = w.submit()
    w.clock.now += 60
    assert w.status(request_id).json()["metrics"]["cost"] == 0.0575


def test_the_ledger_knows_who_did_what_and_no_key():
    w = world(api_keys=frozenset({KEY}))
    done, failed = w.submit(), w.submit(cfg=0)
    w.post({"prompt": PROMPT, "length": 1})
    w.post(key="SG_intruder")
    w.clock.now += 60
    w.status(done)
    w.status(done)
    w.download(done)
    w.download(done, x_api_key="oops")
    path = w.result(done).json()["output"].partition(":1")[2]
    w.call("HEAD", path, key="")
    book = w.core.ledger.to_json()
    json.dumps(book)
    assert (book["submits"], book["accepted"], book["purchases"]) == (4, 2, 1)
    assert book["billed_requests"] == w.core.ledger.billed_requests() == [done]
    assert book["billed"] == w.core.ledger.billed_total() == 0.0525
    assert [entry["outcome"] for entry in book["submissions"]] == [
        "COMPLETED",
        "FAILED",
        "REFUSED",
        "REFUSED",
    ]
    assert [entry["http_status"] for entry in book["submissions"]] == [200, 200, 406, 401]
    first = book["submissions"][0]
    assert {name: first[name] for name in ("polls", "results", "downloads", "downloads_with_key")} == {
        "polls": 2,
        "results": 3,
        "downloads": 2,
        "downloads_with_key": 1,
    }
    assert first["body"] == {"prompt": PROMPT}
    assert book["submissions"][1]["request_id"] == failed
    text = json.dumps(book) + repr(w.core.ledger) + repr(w.core.settings)
    assert KEY not in text
    assert "SG_intruder" not in text
    assert first["key"]
    assert first["key"] != book["submissions"][3]["key"]


def test_what_is_queued_is_a_purchase_but_not_yet_billed():
    w = world()
    w.submit()
    assert (len(w.core.ledger.purchases()), w.core.ledger.billed_requests()) == (1, [])
    assert w.core.ledger.billed_total(w.clock.now + 60) == 0.0525
