from __future__ import annotations

from local_airflow.process_table import Row, belongs, members

ME = 1


def row(pid: int, parent: int = ME, session: int | None = None, mark: str | None = None) -> Row:
    return Row(pid, parent, pid if session is None else session, mark)


def test_a_mark_belongs_to_its_owner_and_name():
    assert belongs("abc:scheduler", "abc", None)
    assert belongs("abc:scheduler", "abc", "scheduler")
    assert not belongs("abc:scheduler", "abc", "triggerer")
    assert not belongs("abcd:scheduler", "abc", None)
    assert not belongs(None, "abc", None)


def test_descendants_are_found_by_mark_wherever_they_are():
    rows = [row(10, mark="o:scheduler"), row(11, parent=1, session=11, mark="o:scheduler")]
    assert members(rows, "o", me=ME) == {10, 11}


def test_whoever_dropped_the_mark_is_found_as_a_child_or_in_the_session():
    rows = [
        row(10, mark="o:scheduler"),
        row(20, parent=10, session=20),  # a child in a session of its own
        row(21, parent=20, session=20),  # and its child
        row(30, parent=1, session=10),  # orphaned, but of the session
    ]
    assert members(rows, "o", me=ME) == {10, 20, 21, 30}


def test_others_are_left_alone():
    rows = [row(10, mark="o:scheduler"), row(40), row(41, parent=40), row(50, mark="other:scheduler")]
    assert members(rows, "o", me=ME) == {10}


def test_the_asker_is_never_a_member():
    rows = [row(ME, parent=0, mark="o:scheduler"), row(10, parent=ME, mark="o:scheduler"), row(60, parent=ME)]
    assert members(rows, "o", me=ME) == {10}


def test_one_component_is_not_another():
    rows = [
        row(10, mark="o:scheduler"),
        row(11, parent=10, session=10, mark="o:scheduler"),
        row(20, mark="o:triggerer"),
    ]
    assert members(rows, "o", "scheduler", me=ME) == {10, 11}
    assert members(rows, "o", "triggerer", me=ME) == {20}
