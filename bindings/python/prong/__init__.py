"""Prong: call the methods of worker processes, in any language, through a hub that owns them."""
from ._client import Background, Client, Event, Future, Lease, Method, Options, Proxy, Results, Subscription, connect
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
from ._executor import Executor
from ._hub import Hub
from ._worker import Worker, frontend, idempotent, loop, on, once, shared

__all__ = [
    "AbortedError", "AlreadyExistsError", "Background", "CancelledError", "Client", "DataLossError",
    "DeadlineExceededError", "Event", "Executor", "FailedPreconditionError", "Future", "Hub", "InternalError",
    "InvalidArgumentError", "Lease", "Method", "NotFoundError", "Options", "OutOfRangeError", "PermissionDeniedError",
    "ProngError", "Proxy", "ResourceExhaustedError", "Results", "Subscription", "UnauthenticatedError",
    "UnavailableError", "UnimplementedError", "UnknownError", "Worker", "__version__", "connect", "frontend",
    "idempotent", "loop", "on", "once", "shared",
]
