from __future__ import annotations

import io

from showcase.progress import Board, Line, fit_rows, news


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_holds_label_state_time_and_remark():
    assert Line("make", "running", 3.14, "half done").text(6) == "make    running      3.1 s  half done"
    assert Line("make", "queued", 0.0).text() == "make  queued       0.0 s"


def test_rows_never_wrap():
    rows = fit_rows([Line("make", "running", 1, "x" * 200), Line("other", "queued", 0)], 40)
    assert all(len(row) < 40 for row in rows)
    assert rows[0].index("running") == rows[1].index("queued")


def test_time_alone_is_no_news():
    told = {"make": ("running", "a")}
    assert news([Line("make", "running", 9, "a")], told) == []
    assert news([Line("make", "running", 9, "b"), Line("two", "queued", 0)], told) == [
        Line("make", "running", 9, "b"),
        Line("two", "queued", 0),
    ]


def test_without_a_terminal_a_line_is_printed_when_something_changes_or_after_ten_seconds():
    stream, clock = io.StringIO(), Clock()
    board = Board(stream, clock=clock)
    for now, state in [
        (0.0, "queued"),
        (0.5, "queued"),
        (1.0, "running"),
        (10.9, "running"),
        (11.0, "running"),
    ]:
        clock.now = now
        board.show([Line("make", state, now)])
    assert [line.split()[1:3] for line in stream.getvalue().splitlines()] == [
        ["queued", "0.0"],
        ["running", "1.0"],
        ["running", "11.0"],
    ]
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_the_rows_are_redrawn_in_place():
    stream = Terminal()
    board = Board(stream, columns=lambda: 80)
    board.show([Line("a", "queued", 0), Line("b", "queued", 0)])
    assert "\x1b[2A" not in stream.getvalue()
    board.show([Line("a", "running", 1)])
    assert stream.getvalue().endswith("\x1b[2A\r\x1b[2Ka  running      1.0 s\n\x1b[J")
    board.settle()
    board.show([Line("c", "queued", 0)])
    assert stream.getvalue().endswith("\x1b[J\r\x1b[2Kc  queued       0.0 s\n\x1b[J")
