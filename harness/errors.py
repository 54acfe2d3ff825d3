"""Errors that reach the person at the terminal as one message."""

from __future__ import annotations


class HarnessError(Exception):
    """Something outside the program's control went wrong; the message says what and what to do. Exit code 2."""


class InputError(HarnessError):
    """The user's input is wrong: the message names the file, the key and the fix. Exit code 2."""
