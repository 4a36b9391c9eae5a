"""Shared expenses in a plain text file."""
