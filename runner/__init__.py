"""relay: one pipeline file, one git repository, models that plan, implement and review, and a gate that decides."""

__version__ = "0.1.0"
