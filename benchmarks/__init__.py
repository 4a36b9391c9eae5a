"""What relay costs beside what one would use without it, measured in one interleaved run: `python -m benchmarks`."""
