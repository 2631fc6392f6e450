from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from airflow_ltx import exceptions as e
from airflow_ltx.segmind.endpoints import ClientConfig
from airflow_ltx.segmind.history import history_query
from airflow_ltx.segmind.models import State
from tests.unit.segmind.support import KEY, KINDS, Service, run

NOW = datetime(2026, 8, 20, 12, tzinfo=UTC).timestamp()


def asked(**filters: Any) -> dict[str, object]:
    return dict(history_query(NOW, **filters).parameters)


def test_a_plain_question_leaves_the_window_to_the_service() -> None:
    assert asked() == {"page": 1, "per_page": 20}


def test_every_filter_is_sent_under_the_services_name() -> None:
    assert asked(
        model="ltx-video", status="FAILED", since=date(2026, 8, 1), until=date(2026, 8, 7), page=3,
        per_page=100,
    ) == {
        "page": 3,
        "per_page": 100,
        "from_date": "2026-08-01",
        "to_date": "2026-08-07",
        "status": "FAILED",
        "model_name": "ltx-video",
    }  # fmt: skip


def test_an_end_alone_is_the_end_of_a_week() -> None:
    assert asked(until=date(2026, 3, 8)) == {
        "page": 1, "per_page": 20, "from_date": "2026-03-01", "to_date": "2026-03-08",
    }  # fmt: skip
    assert asked(until=date.min)["from_date"] == "0001-01-01"


def test_a_moment_with_a_zone_is_its_day_in_utc() -> None:
    late = datetime(2026, 8, 1, 23, tzinfo=timezone(timedelta(hours=-8)))
    assert asked(since=late)["from_date"] == "2026-08-02"
    assert asked(since=datetime(2026, 8, 1, 23))["from_date"] == "2026-08-01"


@pytest.mark.parametrize("status", [State.COMPLETED, State.FAILED, "PENDING", None])
def test_each_word_of_the_history_can_be_asked_for(status: str | None) -> None:
    assert asked(status=status).get("status") == (None if status is None else str(status))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 7, 1), date(2026, 7, 31)),
        (date(2026, 7, 1), date(2026, 7, 1)),
        (date(2026, 7, 21), None),
        (date(2026, 8, 20), None),
        # Already tomorrow where the caller is.
        (date(2026, 8, 21), None),
    ],
)
def test_31_days_may_be_asked_for(first: date, last: date | None) -> None:
    assert asked(since=first, until=last)["from_date"] == first.isoformat()


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"page": 0}, "page is 0"),
        ({"page": True}, "page is True"),
        ({"page": 1.5}, "page is 1.5"),
        ({"page": None}, "page"),
        ({"per_page": 0}, "per_page is 0"),
        ({"per_page": 101}, "from 1 to 100"),
        ({"per_page": None}, "per_page"),
        ({"status": "DONE"}, "COMPLETED, FAILED, PENDING"),
        ({"status": "QUEUED"}, "COMPLETED, FAILED, PENDING"),
        ({"since": "2026-08-01"}, "datetime.date"),
        ({"until": 5}, "datetime.date"),
        ({"since": date(2026, 7, 1), "until": date(2026, 8, 1)}, "at most 31 days"),
        ({"since": date(2026, 7, 20)}, "at most 31 days"),
        ({"since": date(2026, 8, 2), "until": date(2026, 8, 1)}, "after until"),
        ({"since": date(2026, 8, 22)}, "after until"),
        ({"model": "../v2/ltx-video"}, "slug"),
        ({"model": ""}, "slug"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_asked_is_told_before_anything_is_sent(
    kind: str, filters: dict[str, Any], told: str
) -> None:
    with pytest.raises(e.InvalidParameter, match=told):
        history_query(NOW, **filters)
    service = Service([httpx.Response(200, json={"data": []})])
    if not (filters.keys() <= {"since", "until"}):
        with pytest.raises(e.InvalidParameter):
            run(kind, service, lambda client: client.history(**filters))
        assert service.requests == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(e.InvalidParameter) as caught:
        history_query(NOW, page=0, per_page=0, status="?", since=5)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_goes_to_the_history_host_and_into_no_url(kind: str) -> None:
    config = ClientConfig(api_key=KEY, history_url="https://history.example/base/")
    service = Service([httpx.Response(200, json={"data": []})])
    run(kind, service, lambda client: client.history(model="ltx-video"), config=config)
    (request,) = service.requests
    parts = urlsplit(str(request.url))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
        "https://history.example/base/inference-request/request-history"
    )
    assert parse_qs(parts.query) == {"page": ["1"], "per_page": ["20"], "model_name": ["ltx-video"]}
    assert request.headers["x-api-key"] == KEY
    assert KEY not in str(request.url)


SIGNED = "https://images.segmind.com/x.mp4?sig=SIGNED"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.history_entry(SIGNED),
        lambda c: c.status(SIGNED),
        lambda c: c.history(model=SIGNED),
        lambda c: c.history(since=SIGNED),
        lambda c: c.upload(SIGNED),
        lambda c: c.upload(b"x", content_type=SIGNED),
        lambda c: c.run_sync("m", {}, "v", timeout=SIGNED),
    ],
)
def test_a_signed_url_in_the_wrong_place_is_told_without_its_signature(kind: str, ask: Any) -> None:
    service = Service([httpx.Response(200, json={"data": []})])
    with pytest.raises(e.InvalidParameter, match=r"images\.segmind\.com/x\.mp4") as caught:
        run(kind, service, ask)
    assert "SIGNED" not in str(caught.value)
    assert service.requests == []
