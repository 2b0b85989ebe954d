"""The fixture `prong_hub` of pytest: a prong.Hub for one test alone."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._hub import Hub

@pytest.fixture
def prong_hub() -> Iterator[Hub]:
    """A private hub without workers (see prong.Hub.spawn), which ends with the test."""
    from ._hub import Hub
    with Hub() as hub:
        yield hub
