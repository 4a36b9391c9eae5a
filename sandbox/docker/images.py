"""What the engine is asked about images: each method is one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import docker
import docker.errors

from sandbox.base import SandboxError
from sandbox.docker.asking import asking
from sandbox.values import Labelled


class Images:
    """The images of an engine. `_patient` waits for what may take it long."""

    _client: docker.APIClient
    _patient: docker.APIClient

    def image_id(self, name: str) -> str | None:
        """The id of an image, None when the engine does not have it."""
        config = self.image(name)
        return None if config is None else str(config["Id"])

    def image(self, name: str) -> dict[str, Any] | None:
        """Everything the engine says about an image, None when it does not have it."""
        with asking(f"cannot inspect the image {name}"):
            try:
                return cast("dict[str, Any]", self._client.inspect_image(name))  # type: ignore[no-untyped-call]
            except docker.errors.ImageNotFound:
                return None

    def pull(self, name: str, on_line: Callable[[str], None] = lambda line: None) -> str:
        """Fetch an image from its registry; its id. Raises SandboxError when no registry gives it."""
        repository, tag = _named(name)
        with asking(f"cannot pull {name}"):
            for said in self._patient.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in said:
                    raise SandboxError(f"cannot pull {name}: {said['error']}")
                if "id" in said and "progressDetail" not in said:
                    on_line(f"{said['id']}: {said['status']}")
        found = self.image_id(name)
        if found is None:
            raise SandboxError(f"cannot pull {name}: the engine has no such image afterwards")
        return found

    def load(self, archive: Iterable[bytes], *, tag: str, changes: Sequence[str] = ()) -> str:
        """An image from the tar of a root file system, with Dockerfile-like `changes`; its id."""
        repository, name = _named(tag)
        with asking(f"cannot import {tag}"):
            self._patient.import_image_from_stream(archive, repository=repository, tag=name, changes=list(changes))
        return str(self.image_id(tag))

    def commit(self, container: str, *, tag: str, config: Mapping[str, object]) -> str:
        """Keep a container's file system as an image; its id. `config` is merged over the container's own."""
        repository, name = _named(tag)
        with asking(f"cannot commit {tag}"):
            made = self._patient.commit(container, repository=repository, tag=name, conf=dict(config))
        return str(made["Id"])

    def images(self, label: str | None = None) -> tuple[Labelled, ...]:
        """Images with a label, or all; one that nothing names any more has no tag."""
        with asking("cannot list images"):
            found = self._client.images(filters={"label": label} if label else {})
        return tuple(
            Labelled(
                id=each["Id"],
                labels=each.get("Labels") or {},
                tags=tuple(tag for tag in each.get("RepoTags") or () if tag != "<none>:<none>"),
                created=each["Created"],
                size=each["Size"],
            )
            for each in found
        )

    def remove_image(self, image: str) -> bool:
        """Remove an image or a tag, and no other with it. False when a container or another image uses it."""
        with asking(f"cannot remove the image {image}"):
            try:
                # Pruning would take a base along that has been made anew meanwhile: somebody may be at work in it.
                self._patient.remove_image(image, force=False, noprune=True)
            except docker.errors.ImageNotFound:
                return True
            except docker.errors.APIError as error:
                if error.status_code == 409:
                    return False
                raise
        return True


def _named(name: str) -> tuple[str, str]:
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")
