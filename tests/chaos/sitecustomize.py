"""On the path of a process that a chaos test starts: sends that process a signal at the n-th call of a function.

`CHAOS` is a list of `module:function:before|after:n:SIGNAL`, with spaces between. relay knows nothing of it.
"""

import functools
import importlib.util
import itertools
import os
import signal
import sys
from typing import Any


class Trap:
    """Finds the one module that holds the function, and lays itself around the function once that is loaded."""

    def __init__(self, module: str, function: str, when: str, number: str, name: str) -> None:
        self.module, self.function, self.when, self.number = module, function, when, int(number)
        self.signal = signal.Signals[f"SIG{name}"]
        self.calls = itertools.count(1)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        load = spec.loader.exec_module

        def load_and_lay(module: Any) -> None:
            load(module)
            self.lay(module)

        spec.loader.exec_module = load_and_lay  # type: ignore[method-assign]
        return spec

    def lay(self, module: Any) -> None:
        *owner, name = self.function.split(".")
        holder = functools.reduce(getattr, owner, module)
        function = getattr(holder, name)

        @functools.wraps(function)
        def trapped(*args: Any, **kwargs: Any) -> Any:
            hit = next(self.calls) == self.number
            if hit and self.when == "before":
                os.kill(os.getpid(), self.signal)
            result = function(*args, **kwargs)
            if hit and self.when == "after":
                os.kill(os.getpid(), self.signal)
            return result

        setattr(holder, name, trapped)


for trap in os.environ.get("CHAOS", "").split():
    sys.meta_path.insert(0, Trap(*trap.split(":")))  # type: ignore[arg-type]
