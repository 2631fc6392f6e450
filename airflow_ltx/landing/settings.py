"""What a deployment may set about landings, in ``[segmind]``."""

from __future__ import annotations

from airflow_ltx.exceptions import ConfigurationError
from airflow_ltx.segmind.media import MAX_BYTES

SECTION = "segmind"

LANDING_CONCURRENCY = 4


def max_bytes() -> int:
    """The size in bytes above which a file is refused.

    :raises ConfigurationError: The option is no such number.
    """
    return _at_least_one("max_bytes", MAX_BYTES)


def landing_concurrency() -> int:
    """How many files a triggerer lands at the same time.

    :raises ConfigurationError: The option is no such number.
    """
    return _at_least_one("landing_concurrency", LANDING_CONCURRENCY)


def _at_least_one(option: str, default: int) -> int:
    from airflow.sdk.configuration import conf

    text = conf.get(SECTION, option, fallback=None)
    if text is None or not str(text).strip():
        return default
    try:
        number = int(str(text).strip())
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigurationError(
            f"The option {option} of [{SECTION}] in Airflow's configuration is no whole number above 0."
        )
    return number
