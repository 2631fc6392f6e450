"""Each of the nine parameters out of range: as literal, as template (natively too), and as mapped value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from complaints import PROMPT, SIGNATURE, SIGNED, second_of

from airflow_ltx.exceptions import InvalidParameter
from airflow_ltx.operators.ltx import LTXSubmitOperator
from airflow_ltx.operators.segmind import SegmindSubmitOperator
from airflow_ltx.segmind.ltx import PARAMETERS
from runner import TaskRun

NAN, INFINITE = float("nan"), float("inf")
HUGE, ENDLESS = 10**30, 10**5000
# What is wrong for whatever takes a number or one of a few words.
NO_NUMBERS: tuple[Any, ...] = (
    "abc", "1e", "0x61", "1_0", "٩٧", "97px", "97, 129", "nan", "inf", str(HUGE),
    NAN, INFINITE, -INFINITE, HUGE, -HUGE, ENDLESS, True, False, [97], [], {"length": 97},
)  # fmt: skip
NO_TEXTS: tuple[Any, ...] = (True, False, NAN, INFINITE, ["a"], [], {"a": "b"}, ENDLESS)
WRONG: dict[str, tuple[Any, ...]] = {
    "prompt": ("", "  \t\n", "None", None, *NO_TEXTS),
    "negative_prompt": NO_TEXTS,
    "aspect_ratio": ("5:3", "16x9", "16:9:1", "1.5", 1.5, *NO_NUMBERS),
    "target_size": (511, 513, 1025, 0, -512, 640.5, "640.5", *NO_NUMBERS),
    "length": (96, 98, 258, 0, -97, 97.5, "98", *NO_NUMBERS),
    "steps": (0, 51, -1, 1.5, "0", "51", "1.5", *NO_NUMBERS),
    "cfg": (0, 0.99, 20.01, 21, -1, "0.99", "20.01", "1e400", *NO_NUMBERS),
    "seed": (-2, 2**63, 1.5, "-2", str(2**63), *NO_NUMBERS),
    "image": (
        "first.png", "ftp://host/a.png", "file:///etc/passwd", "http://", "https:///a.png",
        "data:image/png;base64,AA==", "https://[::1", "http://a b/c.png", *NO_NUMBERS,
    ),
}  # fmt: skip
QUICK = {"task_id": "t", "poll_interval": 0.05, "timeout": 20}


def operator(**arguments: Any) -> LTXSubmitOperator:
    return LTXSubmitOperator(**{**QUICK, "prompt": PROMPT, **arguments})


def as_template(native: bool, **arguments: Any) -> Callable[[], LTXSubmitOperator]:
    """The value comes out of a template, as text or, natively, as it is."""

    def build() -> LTXSubmitOperator:
        with DAG("d", schedule=None, render_template_as_native_obj=native):
            return operator(**arguments)

    return build


def as_mapped(value: Any, name: str, arguments: dict[str, Any]) -> Callable[[], LTXSubmitOperator]:
    """The value is one of several that a parameter is mapped over."""
    common = {**QUICK, **({} if name == "prompt" else {"prompt": PROMPT}), **arguments}
    return second_of(lambda: LTXSubmitOperator.partial(**common).expand(**{name: [PROMPT, value]}))


def of_kwargs(values: list[dict[str, Any]]) -> Callable[[], LTXSubmitOperator]:
    """The arguments come as dicts, one a task."""
    return second_of(lambda: LTXSubmitOperator.partial(task_id="t").expand_kwargs(values))


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_literal_is_an_error_when_the_dag_is_parsed_and_names_the_task(name):
    assert set(WRONG) == set(PARAMETERS)
    foreign = (b"x", {1}, frozenset({1}), Decimal(97), date(2026, 1, 2), PurePosixPath("/a.png"))
    for value in (*WRONG[name], *foreign):
        with pytest.raises(InvalidParameter) as caught:
            operator(**{name: value})
        said = str(caught.value)
        assert said.startswith(f"Task 't': Invalid parameters of ltx-video: {name} is "), value
        assert said.endswith("Nothing was sent or billed.")
        assert len(said) < 400


def test_the_import_error_of_the_dag_file_names_task_parameter_and_value(tmp_path):
    from airflow.dag_processing.dagbag import DagBag

    file = tmp_path / "wrong.py"
    file.write_text(
        "from airflow.sdk import DAG\n"
        "from airflow_ltx.operators.ltx import LTXSubmitOperator\n"
        "with DAG('wrong', schedule=None):\n"
        "    LTXSubmitOperator(task_id='make_video', prompt='a pond', length=98, steps=51)\n"
    )
    (told,) = DagBag(tmp_path).import_errors.values()
    assert "Task 'make_video': Invalid parameters of ltx-video: length is 98; it must be one of 97" in told
    assert "steps is 51; it must be a whole number from 1 to 50" in told


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"negative_prompt"}))
def test_a_template_is_one_clear_line_before_money_is_spent(bench, tmp_path, name, deferrable):
    """Not the negative prompt: a template renders a text, and every text is one."""
    arguments = {"deferrable": deferrable, "destination": f"file://{tmp_path}/videos/"}
    for value in sorted({value for value in WRONG[name] if isinstance(value, str)}):
        run = TaskRun(as_template(False, **arguments, **{name: f"{{{{ {value!r} }}}}"}))
        said = bench.complaint(run, final=True)
        assert f"{name} is " in said, value
        assert "Nothing was sent or billed" in said
    assert bench.segmind.ledger.submissions == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_natively_rendered_value_is_one_clear_line_before_money_is_spent(bench, name, deferrable):
    numbers = () if name in ("prompt", "negative_prompt") else ("10 ** 30", "-7", "0.5")
    for template in ("true", "[97]", "[]", "{'a': 1}", *numbers):
        run = TaskRun(as_template(True, deferrable=deferrable, **{name: f"{{{{ {template} }}}}"}))
        assert f"{name} is " in bench.complaint(run, final=True), template
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_mapped_value_is_one_clear_line_before_money_is_spent(bench, tmp_path, name, deferrable):
    arguments = {"deferrable": deferrable, "destination": f"file://{tmp_path}/videos/"}
    for value in WRONG[name]:
        run = TaskRun(as_mapped(value, name, arguments))
        said = bench.complaint(run, final=True)
        assert f"{name} is " in said, value
        assert "Nothing was sent or billed" in said
    assert bench.segmind.ledger.submissions == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_try_of_it_buys(bench, name):
    bench.complaints(TaskRun(as_mapped(WRONG[name][0], name, {})), final=True)
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"timeout": 0}, "timeout is 0"),
        ({"poll_interval": "soon"}, "poll_interval is 'soon'"),
        ({"land_in": "moon"}, "land_in is 'moon'"),
        ({"destination_conn_id": "nowhere"}, "destination_conn_id is given without a destination"),
        ({"extra": {"cfg": 3}}, "extra must not repeat cfg"),
        ({"extra": "{'new': 1}"}, "it must be a dict, or a JSON object as text"),
        ({"model": "ltx-video"}, "model belong to SegmindSubmitOperator"),
        ({"model": "x", "parameters": {}}, "model and parameters belong to SegmindSubmitOperator"),
    ],
)
def test_other_arguments_are_treated_the_same(bench, arguments, said):
    with pytest.raises(InvalidParameter) as caught:
        operator(**arguments)
    assert str(caught.value).startswith("Task 't': ")
    assert said in str(caught.value)
    wrong = {"prompt": PROMPT, **arguments}
    assert said in bench.complaint(TaskRun(of_kwargs([{"prompt": PROMPT}, wrong])), final=True)
    assert bench.segmind.ledger.submissions == []


@pytest.mark.parametrize("value", [SIGNED.replace("https", "ftp"), [SIGNED], {"url": SIGNED}])
def test_a_wrong_image_is_told_without_its_signature(bench, value):
    with pytest.raises(InvalidParameter, match="image is ") as caught:
        operator(image=value)
    assert SIGNATURE not in str(caught.value)
    bench.complaint(TaskRun(as_mapped(value, "image", {})), final=True)


@pytest.mark.parametrize("field", ["parameters", "extra"])
def test_what_should_be_json_is_told_without_the_signatures_in_it(bench, field):
    """A template over a dict renders Python's text of it, not JSON's."""
    value = f"{{{{ {{'image': {SIGNED!r}}} }}}}"
    run = bench.video(extra=value) if field == "extra" else bench.model(parameters=value)
    assert f"{field} is " in bench.complaint(run, final=True)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"target_size": 500}, "Invalid value for target_size"), ({"aspect_ratio": "5:3"}, "aspect_ratio")],
)
def test_what_the_service_refuses_of_unchecked_parameters_is_final(bench, wrong, said, deferrable):
    run = bench.model(model="ltx-video", parameters={"prompt": PROMPT, **wrong}, deferrable=deferrable)
    told = bench.complaints(run, final=True)
    assert said in told
    assert "correct them" in told
    assert bench.segmind.ledger.accepted() == []


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("wrong", [{"steps": 0}, {"prompt": ""}])
def test_what_the_service_finds_wrong_later_is_not_billed(bench, wrong, deferrable):
    run = bench.model(model="ltx-video", parameters={"prompt": PROMPT, **wrong}, deferrable=deferrable)
    said = bench.complaints(run, final=False)
    assert f"{next(iter(wrong))}" in said.lower()
    assert "Failed requests are not billed. A retry submits a new request" in said
    assert len(bench.segmind.ledger.submissions) == run.tries
    assert bench.bought() == []


@pytest.mark.usefixtures("no_hold")
@pytest.mark.parametrize("model", [None, 7, "no slug", ["ltx-video"]])
def test_a_model_that_is_no_slug_is_named_and_leaves_the_record_readable(segmind, model):
    how = {"model": model}

    class Native(SegmindSubmitOperator):
        """As with a DAG that renders templates as native objects."""

        def render_template_fields(self, context, jinja_env=None):
            super().render_template_fields(context, jinja_env)
            self.model = how["model"]

    parameters = {"prompt": PROMPT}
    run = TaskRun(lambda: Native(task_id="t", model="{{ ds }}", parameters=parameters, poll_interval=0.05))
    with pytest.raises(AirflowFailException, match="it must be the model's slug"):
        run.try_once()
    how["model"] = "wan-2.2-t2v-fast"
    run.clear()
    assert run.try_once()["model"] == "wan-2.2-t2v-fast"
