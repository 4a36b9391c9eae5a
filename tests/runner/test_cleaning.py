"""What `relay clean` leaves alone."""

from pathlib import Path

import pytest

from runner.cleaning import clean
from runner.lock import Locked, cache_used
from tests.runner.git.support import make, opened


def test_the_cache_is_not_cleaned_under_a_run_of_another_repository(tmp_path: Path) -> None:
    """All repositories of a user share it, and a base below a workspace must stay as it is."""
    repository = opened(make(tmp_path / "repo"))
    repository.state.mkdir(mode=0o700, exist_ok=True)
    base = tmp_path / "relay" / "bases" / "some-tree"
    base.mkdir(parents=True)
    environ = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with cache_used(tmp_path / "relay"), cache_used(tmp_path / "relay"):
        with pytest.raises(Locked, match="works over relay's cache"):
            clean(repository, environ, cache=True, dry_run=False)
        assert base.is_dir()
        assert clean(repository, environ, cache=False, dry_run=True) == ()
    assert str(tmp_path / "relay" / "bases") in clean(repository, environ, cache=True, dry_run=False)
    assert not base.exists()
