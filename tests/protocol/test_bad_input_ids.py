"""An id that does not exist, is another workspace's, has expired, or is none at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from complaints import SIGNATURE

from airflow_ltx.emulator import Settings, running_emulator
from airflow_ltx.exceptions import InvalidParameter, RequestNotFound, ResultExpired
from airflow_ltx.hooks.segmind import SegmindHook
from segmind_service import KEY

MODES = [{"deferrable": True}, {"deferrable": False}]
OTHER_KEY = "SG_fedcba9876543210"
HOUR = 3600.0
RECORD = "airflow_ltx.request"


@pytest.fixture
def workspaces(bench):
    """The same service with two workspaces: ``segmind_default`` is one, ``segmind_other`` the other."""
    settings = Settings(
        api_keys=frozenset({KEY, OTHER_KEY}), queue_seconds=0.02, inference_seconds=0.05, prerender=False
    )
    with running_emulator(settings) as bench.segmind:
        bench.connect()
        bench.connect("segmind_other", password=OTHER_KEY)
        yield bench


def submitted(bench, ago: float = 0.0, **arguments) -> dict:
    """What a task that does not wait returned, ``ago`` seconds after it did."""
    value = bench.video(wait_for_completion=False, **arguments).try_once()
    bench.segmind.advance(ago)
    earlier = datetime.fromisoformat(value["submitted_at"]) - timedelta(seconds=ago)
    return {**value, "submitted_at": earlier.astimezone(UTC).isoformat()}


def gave_up(bench, **arguments):
    """A run whose first try bought a request and did not wait for its end; and the id."""
    bench.segmind.configure(inference_seconds=600)
    run = bench.video(timeout=0.1, **arguments)
    bench.complaint(run, final=False)
    (bought,) = bench.bought()
    return run, bought


def aged(run, seconds: float) -> None:
    """Make the run's record as old as if that much time had passed."""
    record = run.record
    for purchase in record["purchases"]:
        purchase["submitted_at"] -= seconds
    run.state.set(RECORD, record)


@pytest.mark.parametrize("mode", MODES)
def test_an_id_that_does_not_exist(bench, mode):
    said = bench.complaints(bench.sensor("0" * 32, **mode), final=False)
    assert f"Request {'0' * 32} is unknown to the service" in said
    assert "Nothing was bought in its place" in said
    assert "A retry looks again" in said
    with pytest.raises(RequestNotFound, match="Nothing was bought"):
        SegmindHook().wait("0" * 32, 10, 0.05)
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("given", ["an id", "a return value"])
def test_an_id_of_another_workspace(workspaces, given, mode):
    value = submitted(workspaces, ago=120)
    request = value["request_id"] if given == "an id" else value
    run = workspaces.sensor(request, segmind_conn_id="segmind_other", **mode)
    said = workspaces.complaints(run, final=False)
    assert value["request_id"] in said
    assert "belongs to another workspace or API key than the connection's" in said
    with pytest.raises(RequestNotFound, match="another workspace"):
        SegmindHook("segmind_other").wait(value["request_id"], 10, 0.05)
    assert workspaces.bought() == [value["request_id"]]
    # With the right connection the same sensor collects it.
    assert workspaces.sensor(request, **mode).try_once()["request_id"] == value["request_id"]


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_changed_its_workspace_between_tries_buys_nothing_in_the_other(workspaces, mode):
    run, bought = gave_up(workspaces, **mode)
    aged(run, 120)
    workspaces.connect(password=OTHER_KEY)
    said = workspaces.complaint(run, final=False)
    assert bought in said
    assert "another workspace" in said
    assert "A retry takes up this request and buys nothing" in said
    workspaces.connect()
    workspaces.segmind.advance(600)
    assert run.try_once()["request_id"] == bought
    assert workspaces.bought() == [bought]


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_has_expired(bench, mode):
    value = submitted(bench, ago=HOUR + 60)
    bench.segmind.add_faults("history:before:404*inf")
    said = bench.complaints(bench.sensor(value, **mode), final=True)
    assert f"Request {value['request_id']} was submitted 61 min ago" in said
    assert "If it finished it was billed; the Segmind console may still show the file" in said
    # The id alone does not tell its age.
    said = bench.complaints(bench.sensor(value["request_id"], **mode), final=False)
    assert "its record is older than the hour for which the service keeps it" in said
    epoch = datetime.fromisoformat(value["submitted_at"]).timestamp()
    with pytest.raises(ResultExpired, match="one hour"):
        SegmindHook().wait(value["request_id"], 10, 0.05, submitted_at=epoch)
    assert bench.bought() == [value["request_id"]]


@pytest.mark.parametrize("mode", MODES)
def test_a_retry_after_the_hour_is_final_and_buys_nothing(bench, mode):
    run, bought = gave_up(bench, **mode)
    bench.segmind.advance(HOUR + 60)
    bench.segmind.add_faults("history:before:404*inf")
    aged(run, HOUR + 60)
    said = bench.complaint(run, final=True)
    assert f"Request {bought} was submitted 61 min ago" in said
    assert "If it finished it was billed" in said
    assert "No retry buys another one; clearing the task does" in said
    said = bench.complaint(run, final=True)
    assert f"Of request {bought}, which was billed if it completed, nothing can be collected" in said
    assert bench.bought() == [bought]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "request_id",
    [
        "", "  ", "None", None, 7, True, [], ["0" * 32], {"id": "x"}, {"request_id": None}, "a b", "a/../b",
        "../../v1/get-user-credits", "0" * 201, f"https://images.segmind.com/x.mp4?sig={SIGNATURE}",
        {"request_id": f"https://images.segmind.com/x.mp4?sig={SIGNATURE}"},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_id_is_never_sent(bench, request_id, mode):
    said = bench.complaints(bench.sensor(request_id, **mode), final=True)
    assert "request_id is " in said
    assert "Nothing was sent or billed" in said
    assert bench.segmind.ledger.submissions == []
    if isinstance(request_id, str) and request_id != "None":
        with pytest.raises(InvalidParameter, match="request_id is "):
            SegmindHook().wait(request_id, 10, 0.05)


def test_the_same_out_of_a_template(bench):
    said = bench.complaints(bench.sensor("{{ none }}"), final=True)
    assert "request_id is 'None'" in said


@pytest.mark.parametrize("method", ["status", "result", "wait", "history_entry"])
def test_the_hook_tells_what_is_no_id_without_its_signature(bench, method):
    with pytest.raises(InvalidParameter, match="request_id is ") as caught:
        getattr(SegmindHook(), method)(f"https://images.segmind.com/x.mp4?sig={SIGNATURE}")
    assert SIGNATURE not in str(caught.value)
