"""Prong: call the methods of worker processes, in any language, through a hub that owns them."""
from typing import TYPE_CHECKING, Any

from ._client import Background, Client, Lease, Method, Options, Proxy, Results, Subscription, connect
from ._constants import VERSION as __version__
from ._errors import (
    AbortedError,
    AlreadyExistsError,
    CancelledError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ProngError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnknownError,
)
from ._session import Event
from ._worker import Worker, frontend, idempotent, loop, on, once, shared

if TYPE_CHECKING:
    from . import aio as aio
    from ._executor import Executor
    from ._future import Future
    from ._hub import Hub
    from ._shared import array
    from ._stream import Frame, Reader, StreamWriter

__all__ = [
    "AbortedError", "AlreadyExistsError", "Background", "CancelledError", "Client", "DataLossError",
    "DeadlineExceededError", "Event", "Executor", "FailedPreconditionError", "Frame", "Future", "Hub",
    "InternalError", "InvalidArgumentError", "Lease", "Method", "NotFoundError", "Options", "OutOfRangeError",
    "PermissionDeniedError", "ProngError", "Proxy", "Reader", "ResourceExhaustedError", "Results", "StreamWriter",
    "Subscription", "UnauthenticatedError", "UnavailableError", "UnimplementedError", "UnknownError", "Worker",
    "__version__", "array", "connect", "frontend", "idempotent", "loop", "on", "once", "shared",
]

# Imported when they are used, with what the standard library needs for them.
_LATER = {"Executor": "_executor", "Frame": "_stream", "Future": "_future", "Hub": "_hub", "Reader": "_stream",
          "StreamWriter": "_stream", "aio": "aio", "array": "_shared"}

def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'prong' has no attribute {name!r}")
    import importlib
    module = importlib.import_module(f".{_LATER[name]}", __name__)
    found = globals()[name] = module if name == "aio" else getattr(module, name)
    return found
