"""What can go wrong: one exception for each code of the protocol, all of them ProngErrors."""
from __future__ import annotations

from typing import Any, Optional

from . import _constants as c

BEGAN = ("no", "maybe", "yes")

class ProngError(Exception):
    """A call, event or connection that failed.

    code, name    number and name of the gRPC code that stands for what happened
    began         whether the method may have begun: "no" is a guarantee, so it may be called again; "maybe", "yes"
    message       for people
    details       for programs: whatever the worker or the hub adds, a dict
    """
    code: int = 2
    refused = False      # in a worker: raised before its method began

    def __init__(self, message: str = "", details: Optional[dict[str, Any]] = None, *, began: str = "yes",
                 code: Optional[int] = None) -> None:
        super().__init__(message)
        self.code = type(self).code if code is None else code
        self.message, self.began, self.details = message, began, details or {}

    @property
    def name(self) -> str:
        """"NOT_FOUND" and the like."""
        return c.ERRORS.get(self.code, ("UNKNOWN",))[0]

    @property
    def type(self) -> Optional[str]:
        """The name of the exception in the worker, "ValueError"."""
        return self.details.get("type")

    @property
    def traceback(self) -> Optional[str]:
        """Where it was raised in the worker, as Python prints it."""
        return self.details.get("traceback")

    @property
    def log(self) -> list[str]:
        """The lines that a worker which died wrote last."""
        return list(self.details.get("log") or ())

    @property
    def replica(self) -> Optional[str]:
        """The process that had the call, "detector/0"."""
        return self.details.get("replica")

    @property
    def retry_after(self) -> Optional[float]:
        """In so many seconds the same may be asked again."""
        ms = self.details.get("retry_after_ms")
        return None if ms is None else ms / 1000

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.code, self.message, self.details, self.began)

    def __str__(self) -> str:
        return "\n".join([self.message or self.name] + [f"  | {line}" for line in self.log])

class RemoteTraceback(Exception):
    """The cause of a ProngError that a method raised: it prints the worker's traceback."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'

class CancelledError(ProngError):
    """The call was cancelled."""
    code = 1

class UnknownError(ProngError):
    """The method raised an exception: `type` and `traceback` say which."""

class InvalidArgumentError(ProngError):
    """The request or an argument is wrong."""
    code = 3

class DeadlineExceededError(ProngError, TimeoutError):
    """The deadline passed before there was an outcome."""
    code = 4

class NotFoundError(ProngError):
    """No such worker, method, call or thing."""
    code = 5

class AlreadyExistsError(ProngError):
    """There is one already."""
    code = 6

class PermissionDeniedError(ProngError):
    """This program may not do that."""
    code = 7

class ResourceExhaustedError(ProngError):
    """A queue or a limit is full, or a value too large for a message."""
    code = 8

class FailedPreconditionError(ProngError):
    """Not in this state; also a connection that is used in a forked child, or after close()."""
    code = 9

class AbortedError(ProngError):
    """The worker died while it had the call: `replica`, details["signal"] and `log` say more."""
    code = 10

class OutOfRangeError(ProngError):
    """Outside what is possible."""
    code = 11

class UnimplementedError(ProngError):
    """The hub or the worker does not have that."""
    code = 12

class InternalError(ProngError):
    """A fault of the hub or of a library."""
    code = 13

class UnavailableError(ProngError, ConnectionError):
    """Nobody can serve this now, or there is no hub."""
    code = 14

class DataLossError(ProngError):
    """It was done, but the outcome is lost."""
    code = 15

class UnauthenticatedError(ProngError):
    """Say who you are first: a token is needed, or another one."""
    code = 16

BY_CODE: dict[int, type[ProngError]] = {e.code: e for e in ProngError.__subclasses__()}

def _again(code: int, message: str, details: Any, began: str) -> ProngError:
    return BY_CODE.get(code, UnknownError)(message, details, began=began, code=code)

def make(code: int, began: int, message: str, details: Any) -> ProngError:
    """The exception for an outcome [code, began, message, details]."""
    error = _again(code, message, details if isinstance(details, dict) else {}, BEGAN[began])
    if error.traceback:
        error.__cause__ = RemoteTraceback(error.traceback)
    return error
