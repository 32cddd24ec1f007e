"""The exceptions of foveola: every error that a user can cause, in one tree.

    FoveolaError              catch this to catch them all; `exit_code` is what the command line ends with
    ├── UsageError      2     an option, a name, a recipe or a run folder that can't be what was meant
    │   ├── KeywordError      a function was called with a keyword that it does not take; names the nearest one
    │   ├── DamagedRunError   a finished run's file can't be read; names run and file
    │   ├── OtherFormatError  a run or a comparison was written by a version that this one can't read
    │   └── DivergedError     the loss is not finite any more; names the setting that is likely to blame
    ├── DataError       3     the data can't be used: missing, empty, one class, damaged archive...
    │   └── ImageProblem      one file is not a usable image; listed, counted, never fatal for the others
    │       └── PassingProblem    ...this time: the disk or the memory refused, another try may succeed
    └── ResourceError   4     the machine can't do it: disk full, no such device, no network

Each error text is one sentence with what was asked, what was found, what is allowed and what to do. Any other exception
that a user sees is a bug in foveola.
"""

from pathlib import Path
from typing import Literal, TypeAlias

ProblemKind: TypeAlias = Literal["unusable", "missing_package", "excluded"]
"""Why a file that was found is not used: nothing can be read from it, the package for its format is not installed, or the
user's exclude list names it."""


class FoveolaError(Exception):
    """The base class of every error that a user can cause and fix."""

    exit_code = 1


class UsageError(FoveolaError):
    """An unknown option or name, a wrong value, or a folder that is not a run."""

    exit_code = 2


class KeywordError(UsageError, TypeError):
    """A function was called with a keyword that it does not take. It is a TypeError too, as Python's own error for it is."""


class DamagedRunError(UsageError):
    """A file of a finished run can't be read. run: its folder; file: the file's name."""

    def __init__(self, run: Path, file: str) -> None:
        super().__init__(run, file)
        self.run, self.file = run, file

    @property
    def what(self) -> str:
        """What is wrong, without what to do."""
        return f"the run {self.run} is damaged: its {self.file} can't be read"

    def __str__(self) -> str:
        return f"{self.what}; train again"


class OtherFormatError(UsageError):
    """A run folder or a comparison folder was written by a version of foveola that this one can't read."""


class DivergedError(UsageError):
    """Training diverged: the loss is not a finite number. The text names the setting that is likely to blame."""


class DataError(FoveolaError):
    """The data can't be used as it is."""

    exit_code = 3


class ImageProblem(DataError):
    """One file is not a usable image; its text is the reason, without the file's name.

    cause: the reason without details that differ from file to file, for counting; the whole reason by default.
    """

    def __init__(self, reason: str, *, cause: str = "", kind: ProblemKind = "unusable") -> None:
        super().__init__(reason)
        self.cause, self.kind = cause or reason, kind


class PassingProblem(ImageProblem):
    """One file could not be read this time (no permission, a dropped mount, too little memory): not to be remembered."""


class ResourceError(FoveolaError):
    """The machine can't do it: disk, memory, device or network."""

    exit_code = 4


class FoveolaWarning(RuntimeWarning):
    """Something does not work as it should, but foveola can continue. The command line prints its sentence once."""
