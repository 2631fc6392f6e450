"""Whether the indexes of a mapped task can render a template differently: read from its text, never rendered.

What is not known to be the same is taken to differ, so that no name is refused that may tell them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

_SAME_FOR_ALL = frozenset(
    {
        "conn",
        "dag",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "dict",
        "ds",
        "ds_nodash",
        "expanded_ti_count",
        "logical_date",
        "namespace",
        "params",
        "partition_date",
        "partition_key",
        "prev_data_interval_end_success",
        "prev_data_interval_start_success",
        "prev_end_date_success",
        "prev_start_date_success",
        "range",
        "run_id",
        "task_instance_key_str",
        "triggering_asset_events",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
        "var",
    }
)
"""What a template may name and still render to the same text for each index."""

_OF_A_TASK = frozenset({"task_id", "dag_id", "dag", "task_type"})
_OF_AN_INSTANCE = frozenset({"run_id", "dag_id", "task_id", "dag_run", "max_tries", "try_number"})
_MACROS = frozenset({"ds_add", "ds_format", "ds_format_locale"})
_CHANCE = frozenset({"random"})

Path = tuple[str, ...]
Row = tuple[object, ...]

UNKNOWN = object()
"""What only a run knows."""


def same_for_all(given: object, task: Any, dag: Any) -> bool:
    """Whether an argument, as its author wrote it, is certainly the same for each index.

    :param task: As the DAG has it, mapped or in a mapped group; nothing of it is rendered.
    """
    if not isinstance(given, str):
        return False
    expanded = _expanded(task)
    own = frozenset(dag.user_defined_macros or ()) | (expanded or frozenset())
    return all(
        path[0] not in own and _is_same(path, task, expanded)
        for path in _paths(given, dag.get_template_env(), frozenset(dag.user_defined_filters or ()))
    )


def shared(task: Any, dag: Any, names: Mapping[str, object], index: int) -> bool:
    """Whether an index of a mapped task is certainly given the same for some arguments as another one.

    :param names: And what each stands for where it is not given.
    """
    rows, in_order = _rows(task, names)
    known: dict[object, bool] = {None: True}

    def certain(each: object) -> bool:
        if isinstance(each, str) and each not in known:
            known[each] = same_for_all(each, task, dag)
        return (each is None or isinstance(each, str)) and known[each]

    times = Counter(row for row in rows if all(map(certain, row)))
    if not in_order:
        return any(count > 1 for count in times.values())
    own = rows[index] if index < len(rows) else ()
    return all(map(certain, own)) and times[own] > 1


def _rows(task: Any, names: Mapping[str, object]) -> tuple[list[Row], bool]:
    """What the indexes are given for some arguments; whether these are all of them, in their order. Where
    only a run knows how many there are, two of a kind stand for more."""
    value = getattr(getattr(task, "expand_input", None), "value", None)
    rows: list[Mapping[str, object]]
    if isinstance(value, Mapping):
        in_order = all(isinstance(each, list | tuple) for each in value.values())
        columns = [each if isinstance(each, list | tuple) else (UNKNOWN,) * 2 for each in value.values()]
        # As Airflow counts them: the last argument changes first.
        rows = [dict(zip(value, row, strict=True)) for row in product(*columns)]
    elif isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
        in_order, rows = True, list(value)
    else:
        # A task of a mapped group, or one whose mapped arguments come from another task.
        absent = [name for name in names if value is not None and argument(task, name) is None]
        in_order, rows = False, [dict.fromkeys(absent, UNKNOWN)] * 2

    def given(row: Mapping[str, object], name: str) -> object:
        each = row.get(name, argument(task, name))
        return names[name] if each is None else each

    return [tuple(given(row, name) for name in names) for row in rows], in_order


def argument(task: Any, name: str) -> object:
    """What the author gave for an argument; None if nothing, or if it is mapped."""
    kept = getattr(task, "partial_kwargs", None)
    return getattr(task, name, None) if kept is None else kept.get(name)


def takes(task: Any, name: str) -> bool:
    """Whether a task's operator has such an argument, to be given or mapped."""
    return name in getattr(task, "operator_class", type(task)).template_fields


def _expanded(task: Any) -> frozenset[str] | None:
    """The names of mapped arguments; None if only a run knows them."""
    value = getattr(getattr(task, "expand_input", None), "value", {})
    if isinstance(value, Mapping):
        return frozenset(value)
    if isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
        return frozenset(name for each in value for name in each)
    return None


def _is_same(path: Path, task: Any, expanded: frozenset[str] | None) -> bool:
    head, rest = path[0], path[1:]
    if head == "params" and expanded is None:
        return False
    if head in _SAME_FOR_ALL:
        return True
    if head == "macros":
        return rest[:1] != () and rest[0] in _MACROS
    if head in ("ti", "task_instance"):
        if rest[:1] == ("task",):
            return _is_same(("task", *rest[1:]), task, expanded)
        return rest[:1] != () and rest[0] in _OF_AN_INSTANCE
    return head == "task" and rest[:1] != () and rest[0] in _OF_A_TASK


def _paths(template: str, environment: Any, filters: frozenset[str]) -> Iterator[Path]:
    """Everything that a template names, as far as its text follows it: ``ti.run_id`` is one."""
    from jinja2 import TemplateError, meta

    try:
        tree = environment.parse(template)
    except TemplateError:
        yield (template,)
        return
    yield from _named(tree, meta.find_undeclared_variables(tree), filters | _CHANCE)


def _named(node: Any, names: set[str], filters: frozenset[str]) -> Iterator[Path]:
    from jinja2 import nodes

    path = _path(node)
    if path:
        if path[0] in names:
            yield path
        return
    if isinstance(node, nodes.Filter | nodes.Test) and node.name in filters:
        yield (f"|{node.name}",)
    for child in node.iter_child_nodes():
        yield from _named(child, names, filters)


def _path(node: Any) -> Path:
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        above = _path(node.node)
        return (*above, node.attr) if above else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        above = _path(node.node)
        return (*above, str(node.arg.value)) if above else ()
    return ()
