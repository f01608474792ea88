"""The command line: parse, call, render. Whatever goes wrong ends in one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from fierce_tools.errors import FierceError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `fierce` and exit with its code (see errors.EXIT_CODES)."""
    from fierce_tools.cli.app import build

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter gets another, not a traceback
            stream.reconfigure(errors="replace")
    try:
        build(_asked(arguments))(args=None if arguments is None else list(arguments), prog_name="fierce")
    except FierceError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except MemoryError:
        _fail("out of memory; try a smaller --batch-size", 1)
    except OSError as error:
        what = f"{error.filename or 'a file'}: {error.strerror or error}"
        _fail(f"{what}; check the path, its permissions and the disk's free space", 1)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError" and "out of memory" not in str(error).lower():
            raise
        _fail("out of memory on the device; try a smaller --batch-size", 1)


def _asked(arguments: Sequence[str] | None) -> str | None:
    """The command a line names; None where all of them matter, as when a shell asks for completions."""
    if "_FIERCE_COMPLETE" in os.environ:
        return None
    words = sys.argv[1:] if arguments is None else arguments
    return next((word for word in words if not word.startswith("-")), "")


def _fail(message: str, code: int) -> None:
    print(f"fierce: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
