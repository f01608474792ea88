"""Errors a user can cause. Each ends a command in one line and with a documented exit code."""

from __future__ import annotations


class FierceError(Exception):
    """Something a person can mend: `message` says what, where, got and expected; `hint` says what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(FierceError, ValueError):
    """A wrong name, option or combination of options (exit code 2)."""

    exit_code = 2


class SeenValidation(UsageError):
    """A question is nothing but a choice on validation, whose examples the weights may have seen (exit code 2)."""


class DataError(FierceError):
    """A file or an array that is missing, damaged or does not fit (exit code 3)."""

    exit_code = 3


class TrainingError(FierceError):
    """A training that cannot go on, such as a loss that became NaN (exit code 4)."""

    exit_code = 4


class Interrupted(FierceError):
    """Stopped by the user after the work was saved (exit code 130)."""

    exit_code = 130


EXIT_CODES = {
    0: "done",
    1: "something outside the command failed (disk, memory), or a fault of fierce's own",
    2: "wrong name, option or combination of options",
    3: "a file or an array is missing, damaged or does not fit",
    4: "training cannot go on (the loss became NaN or infinite)",
    130: "interrupted; what was done is saved",
}
