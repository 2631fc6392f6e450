"""The command line: start an emulator, say where it listens, write its ledger when it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import importlib.util
import json
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from airflow_ltx.emulator.assets import UploadShape
from airflow_ltx.emulator.faults import ACTIONS, FaultEndpoint, FaultRule
from airflow_ltx.emulator.ratelimit import ResetFormat
from airflow_ltx.emulator.settings import Seconds, Settings

if TYPE_CHECKING:
    from airflow_ltx.emulator.server import EmulatorServer

_PACKAGES = ("aiohttp", "av", "PIL")
_OPEN_FILES = 65536


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM. Returns 0, or 2 with one line on stderr if it could not start."""
    parser = _parser()
    options = parser.parse_args(argv)
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return _refuse(f"{', '.join(missing)} not found; install airflow-provider-ltx[emulator]")
    try:
        settings = _settings(options)
    except ValueError as error:
        parser.error(str(error))
    _allow_many_connections()
    return asyncio.run(_serve(options, settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_ltx.emulator",
        description="A local Segmind: the same API, real MP4 files, nothing is billed.",
        epilog=(
            "A RULE is endpoint:before|after:action[*times][+skip][@match]. Endpoints: "
            f"{', '.join(get_args(FaultEndpoint))}. Actions: {ACTIONS}. Once, unless *times or *inf."
        ),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8787, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="written as JSON (base_url, pid) when it listens"
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="PATH", help="where the ledger is written as JSON at the end"
    )
    parser.add_argument(
        "--seed", type=int, help="same seed, same ids and pictures (default: others at every start)"
    )
    parser.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help="an accepted key; repeatable (default: any key is accepted)",
    )
    usual = Settings()
    for name, text, default in (
        ("queue", "in the queue", usual.queue_seconds),
        ("inference", "of inference", usual.inference_seconds),
    ):
        parser.add_argument(
            f"--{name}-seconds",
            type=_seconds,
            metavar="S[-S]",
            help=f"seconds {text}, or a range to draw them from (default: {default})",
        )
    parser.add_argument("--credits", type=float, help=f"of each workspace (default: {usual.credits:g})")
    parser.add_argument("--outputs", type=int, help=f"files per request (default: {usual.outputs})")
    parser.add_argument(
        "--least-bytes", type=int, metavar="BYTES", help="to which smaller files are filled up (default: 0)"
    )
    parser.add_argument(
        "--history-lag-seconds",
        type=float,
        metavar="S",
        help=f"until the history knows a request (default: {usual.history_lag_seconds:g})",
    )
    parser.add_argument(
        "--record-lag-seconds",
        type=float,
        metavar="S",
        help=f"until a row's fields are not null any more (default: {usual.record_lag_seconds:g})",
    )
    parser.add_argument(
        "--upload-limit",
        type=int,
        metavar="BYTES",
        help=f"of one uploaded file (default: {usual.upload_limit})",
    )
    parser.add_argument(
        "--upload-shape",
        choices=get_args(UploadShape),
        help=f"key of an upload's URLs (default: {usual.upload_shape})",
    )
    parser.add_argument("--rpm", type=int, help="requests per minute and key (default: no limit)")
    parser.add_argument(
        "--reset-format",
        choices=get_args(ResetFormat),
        help=f"how a 429 tells its end (default: {usual.reset_format})",
    )
    parser.add_argument(
        "--price",
        action="append",
        type=_price,
        metavar="SLUG=CREDITS",
        help="fixed price of a model; repeatable (default of ltx-video: by the second)",
    )
    parser.add_argument("--fault", action="append", metavar="RULE", help="a scripted fault; repeatable")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {
        "seed": options.seed if options.seed is not None else secrets.randbits(63),
        "api_keys": frozenset(options.api_key) if options.api_key else None,
        "queue_seconds": options.queue_seconds,
        "inference_seconds": options.inference_seconds,
        "credits": options.credits,
        "requests_per_minute": options.rpm,
        "reset_format": options.reset_format,
        "outputs": options.outputs,
        "least_bytes": options.least_bytes,
        "history_lag_seconds": options.history_lag_seconds,
        "record_lag_seconds": options.record_lag_seconds,
        "upload_limit": options.upload_limit,
        "upload_shape": options.upload_shape,
        "prices": dict(options.price or ()),
        "faults": tuple(FaultRule.from_compact(text) for text in options.fault or ()),
    }
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port (0 to 65535)")
    return port


def _seconds(text: str) -> Seconds:
    try:
        return float(text)
    except ValueError:
        low, _, high = text.partition("-")
        return float(low), float(high)


def _price(text: str) -> tuple[str, float]:
    slug, _, price = text.partition("=")
    return slug, float(price)


async def _serve(options: argparse.Namespace, settings: Settings) -> int:
    from airflow_ltx.emulator.server import EmulatorServer

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    server = EmulatorServer(settings, options.host, options.port)
    try:
        await server.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _refuse(f"port {options.port} is taken; choose another with --port")
        return _refuse(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}")
    try:
        if options.ready_file is not None:
            _write(options.ready_file, {"base_url": server.base_url, "pid": os.getpid()})
        _greet(server.base_url, any_key=not options.api_key)
        await ended.wait()
    finally:
        if options.ready_file is not None:
            # A file that outlives its server would say that it is ready.
            options.ready_file.unlink(missing_ok=True)
        await server.stop()
        _close_the_book(server, options.ledger)
    return 0


def _greet(base_url: str, *, any_key: bool) -> None:
    password = "any key" if any_key else "one of --api-key"
    line = (
        f"Segmind emulator on {base_url}; as a connection: type segmind, host {base_url}, password {password}"
    )
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _close_the_book(server: EmulatorServer, path: Path | None) -> None:
    if path is not None:
        _write(path, server.ledger.to_json())


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write JSON so that a reader sees all of it or nothing."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(path)


def _refuse(reason: str) -> int:
    sys.stderr.write(f"segmind emulator: {reason}\n")
    return 2


def _allow_many_connections() -> None:
    try:
        import resource
    except ModuleNotFoundError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
