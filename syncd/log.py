"""Structured logs on stderr, with the run, connection and partition bound and secrets taken out.

    log = syncd.log.get("syncd.sync")
    with syncd.log.bind(run=run_id, connection="people"):
        log.info("step.claimed", step=step_id)

Log the handle, not the person: ids, names of settings and counts; never a name or an address.
structlog takes 0.1 s to import, so it is imported when something is logged and not before.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

if TYPE_CHECKING:
    from structlog.typing import Processor

HIDDEN = "***"
ROOT = "syncd"

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|credential|authori[sz]ation|cookie|assertion|jwt"
    r"|(api|access|private|signing|encryption)_?-?key"
    r"|(^|_|-)(pwd|token|pin|otp|dsn)$|bearer",
    re.IGNORECASE,
)
_SECRETS = [
    # user:password@ in a URL or DSN
    (re.compile(r"(://[^\s:/?#@]*:)[^\s\"']*@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\b(Bearer|Basic|Token)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # a JSON web token, wherever it stands
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?"), HIDDEN),
    # password=…, "client_secret": "…", ?deltatoken=…
    (
        re.compile(
            r"([\w$.-]*(?:passw(?:or)?d|pwd|secret|token|api_?key|assertion)[\"']?\s*[=:]\s*)"
            r"(\"[^\"]*\"|'[^']*'|[^\s&,;\"'{}\[\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"([?&](?:code|sig|signature|key)=)[^\s&\"']+", re.IGNORECASE), rf"\1{HIDDEN}"),
]
_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
_CONTROLS_OF_A_LINE = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\t\n"}
_DEEPEST = 6


class Logger:
    """What a module logs with; events are named `noun.verb`, fields are keywords."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stdlib = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks for a fault in syncd itself."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happens in the normal course of things, once per run, step or page."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Someone may want to look; the work goes on."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Someone must look."""
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the traceback of the exception that is being handled."""
        self._log(logging.ERROR, event, {"exc_info": True, **fields})

    def _log(self, level: int, event: str, fields: dict[str, Any]) -> None:
        import structlog

        if not structlog.is_configured():
            configure("warning")
        if self._stdlib.isEnabledFor(level):
            structlog.stdlib.get_logger(self._name).log(level, event, **fields)


def get(name: str = ROOT) -> Logger:
    """The logger of a module: `log = syncd.log.get(__name__)`."""
    return Logger(name)


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Add `fields` (run, connection, partition) to everything this thread logs inside the block."""
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**fields):
        yield


def configure(
    level: str = "info",
    format: Literal["console", "json"] = "console",  # noqa: A002 - as the setting
) -> None:
    """Send syncd's logs from `level` on, and warnings of libraries, to stderr in one format.

    May be called again; the last call counts.
    """
    import structlog

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # text, so that it is redacted too; without locals
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _renderer(format),
        ],
    )
    _install(formatter, level)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: secrets become `***`, and no value can forge a line of the log."""
    for key, value in event.items():
        if key == "exception" and isinstance(value, str):
            event[key] = _without_secrets(value).translate(_CONTROLS_OF_A_LINE)
        elif key not in {"_record", "_from_structlog"}:  # structlog's own, removed before output
            event[key] = _redacted(key, value, depth=0)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_KEY.search(key) or hasattr(value, "get_secret_value") or depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            redact_text(str(name)): _redacted(str(name), item, depth + 1)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item, depth + 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"  # items of a source are never logged
    plain = str if isinstance(value, str | UUID | date | timedelta | PurePath | Enum) else repr
    return redact_text(plain(value))


def redact_text(text: str) -> str:
    """`text` on one line, without passwords, tokens and what terminals obey."""
    return _without_secrets(text).translate(_CONTROLS)


def _without_secrets(text: str) -> str:
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _renderer(format: str) -> Processor:  # noqa: A002 - as the setting
    import structlog

    if format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what `sys.stderr` is at that moment, which a progress bar may have replaced."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _install(formatter: logging.Formatter, level: str) -> None:
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Stderr)]:
        root.removeHandler(handler)
    root.addHandler(_Stderr(formatter))
    chosen = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(ROOT).setLevel(chosen)
    root.setLevel(max(chosen, logging.WARNING))  # libraries may put addresses in their chatter
