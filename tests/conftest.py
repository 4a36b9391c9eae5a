"""Fixtures for the whole suite."""

from collections.abc import Iterator

import pytest

from tests.runner.models.fake_vendor import FakeVendor


@pytest.fixture
def vendor_server() -> Iterator[FakeVendor]:
    """A vendor on a loopback socket, with its journal; gone after the test."""
    server = FakeVendor()
    yield server
    server.close()
