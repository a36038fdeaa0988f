"""Structured logs on standard error: JSON, one object a line, or readable lines on a terminal.

A line holds ids, names, numbers and codes; never an input, an output, a token or an address with a password. Nothing in
it steers the terminal that shows it.
"""

import logging
import sys
import traceback

import structlog
from structlog.typing import Processor


def configure_logs(*, terminal: bool, level: int = logging.INFO) -> None:
    """Set up structlog and send what libraries log (uvicorn, psycopg) the same way."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [_printable, structlog.dev.ConsoleRenderer()] if terminal else [structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, _without_nothing, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _without_messages],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)


def _without_nothing(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop the fields that are None: a line says what there is."""
    return {name: value for name, value in event.items() if value is not None}


def _printable(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Every value such that it can neither steer a terminal nor begin a line: JSON is so by itself."""
    return {name: _shown(value) for name, value in event.items()}


def _shown(value: object) -> object:
    text = value if isinstance(value, str) else repr(value)
    if text.isprintable():
        return value
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def frames_of(error: BaseException) -> list[str]:
    """Where it happened, innermost last; without the message, which may repeat what a tenant sent."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-12:]
    ]


def _without_messages(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """An exception that a library logs, told as ours are."""
    error = (event.pop("exc_info", None) or (None, None))[1]
    if isinstance(error, BaseException):
        event.update(error=type(error).__name__, at=frames_of(error))
    return event
