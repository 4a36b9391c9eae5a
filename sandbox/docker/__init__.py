"""The engine: the only package that speaks to Docker.

Whatever the engine refuses or leaves unanswered comes out as SandboxError, in a sentence with what to do.
"""

from sandbox.docker.engine import Engine, connect

__all__ = ["Engine", "connect"]
