"""A question to the engine, and what its refusals are called here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import docker.errors
import requests.exceptions
import urllib3.exceptions

from sandbox.base import SandboxError

REFUSALS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    ValueError,  # half an answer is no JSON
    OSError,
)


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Whatever the engine refuses in the block comes out as SandboxError; `what` says what could not be done."""
    try:
        yield
    except docker.errors.APIError as error:
        raise SandboxError(f"{what}: {error.explanation or error}") from error
    except REFUSALS as error:
        raise SandboxError(
            f"{what}: the Docker engine does not answer ({error}): see that it runs (`docker version`), then go on"
        ) from error
