from __future__ import annotations

from pathlib import Path

from local_airflow.errors import StackError, tail
from local_airflow.records import TaskInstance, log_line, state_lines

ROW = {
    "task_id": "make",
    "map_index": 2,
    "state": "success",
    "try_number": 1,
    "max_tries": 3,
    "start_date": "2026-01-01T12:00:00.5Z",
    "end_date": None,
    "duration": 1.5,
}


def test_a_task_instance_is_read():
    task = TaskInstance.parse(ROW)
    assert task.label == "make[2]"
    assert task.start is not None
    assert task.start.timestamp() == 1767268800.5
    assert task.end is None


def test_a_deferred_task_tells_who_has_its_trigger():
    trigger = {"id": 4, "triggerer_id": 17, "created_date": "2026-01-01T12:00:00Z"}
    task = TaskInstance.parse({**ROW, "state": "deferred", "pid": 99, "trigger": trigger})
    assert (task.pid, task.triggerer) == (99, 17)
    assert task.deferred is not None
    assert task.deferred.timestamp() == 1767268800
    assert TaskInstance.parse({**ROW, "trigger": None}).triggerer is None


def test_states_for_an_error_message():
    waiting = TaskInstance.parse({**ROW, "map_index": -1, "state": None})
    assert state_lines([waiting]) == "  make: none (try 1)"
    assert "no tasks" in state_lines([])


def test_a_log_line_keeps_what_is_not_the_readers_own_question():
    line = log_line({"timestamp": "t", "level": "info", "event": "hello", "task_id": "x", "request_id": "r1"})
    assert line == 't info hello request_id="r1"'
    assert log_line("plain") == "plain"


def test_a_traceback_ends_with_the_error():
    details = [
        {
            "exc_type": "SegmindError",
            "exc_value": "refused",
            "frames": [{"filename": "a.py", "lineno": 3, "name": "f"}],
        },
        {"exc_type": "OSError", "exc_value": "cause", "frames": []},
    ]
    lines = log_line({"event": "Task failed", "error_detail": details}).splitlines()
    assert lines == ["Task failed", "    OSError: cause", "    a.py:3 in f", "    SegmindError: refused"]


def test_the_tail_of_a_log_never_fails(tmp_path: Path):
    log = tmp_path / "log"
    log.write_bytes(b"\xff\n" + b"\n".join(b"line %d" % number for number in range(100)))
    assert tail(log, lines=2) == "line 98\nline 99"
    assert tail(log, lines=2, limit=7) == "line 99"
    log.write_text("")
    assert "is empty" in tail(log)
    assert "cannot be read" in tail(tmp_path / "absent")


def test_an_error_names_its_log():
    error = StackError("It broke.", log=Path("/x/log"))
    assert str(error) == "It broke.\nLog: /x/log"
    assert error.summary == "It broke."
