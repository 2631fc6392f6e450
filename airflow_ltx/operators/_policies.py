"""The policies of a task: its arguments, else the connection's, else the deployment's, else the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_ltx.durability.policies import CHOICES, Policies
from airflow_ltx.exceptions import ConfigurationError, InvalidParameter
from airflow_ltx.operators._arguments import is_literal

if TYPE_CHECKING:
    from airflow_ltx.hooks.segmind import SegmindHook

SECTION = "segmind"


def check_literal_policies(given: Mapping[str, Any]) -> None:
    """Check what is known when the DAG is parsed.

    :raises InvalidParameter: A policy has a value that it does not know.
    """
    _checked({name: value for name, value in given.items() if is_literal(value, ())})


def policies_of(given: Mapping[str, Any], hook: SegmindHook) -> Policies:
    """The policies that hold for this task.

    :param given: The operator's arguments, rendered. What renders to nothing is not given.
    :raises InvalidParameter: An argument has a value that its policy does not know.
    :raises ConfigurationError: The connection or the configuration has.
    """
    from airflow.sdk.configuration import conf

    chosen = _checked(given)
    for name, choices in CHOICES.items():
        if name in chosen:
            continue
        option = conf.get(SECTION, name, fallback=None)
        for where, value in (
            (f"Connection {hook.segmind_conn_id!r}: the extra {name}", hook.connection_extra(name)),
            (f"The option {name} of [{SECTION}] in Airflow's configuration", option),
        ):
            word = _word(value)
            if word is None:
                continue
            if word not in choices:
                raise ConfigurationError(
                    f"{where} is none of {', '.join(map(repr, choices))}. Nothing was sent."
                )
            chosen[name] = word
            break
    return Policies(**chosen)


def _checked(given: Mapping[str, Any]) -> dict[str, str]:
    chosen, problems = {}, []
    for name, value in given.items():
        word = _word(value)
        if word is None:
            continue
        chosen[name] = word
        if word not in CHOICES[name]:
            problems.append(f"{name} is {value!r}; it must be {' or '.join(map(repr, CHOICES[name]))}")
    if problems:
        raise InvalidParameter(problems)
    return chosen


def _word(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return None if text in ("", "None") else text
