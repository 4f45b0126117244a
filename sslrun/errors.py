"""The errors a user meets: what is wrong, where, and what to do; each carries the exit code of the command.

Anything raised from here is printed as text, without a stack trace; so is what goes wrong in a plug-in, with its line.
Everything else is a bug and shows one.
"""


class SslrunError(Exception):
    """A failure that is told to the user: `what` happened, `where`, and the `remedy` to try.

    `str()` gives the text that the command line prints.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}\n{remedy}" if remedy else text)


class InputError(SslrunError):
    """What was asked for can't be done as asked: a wrong argument, path or file."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe or grid is wrong; `where` is file:line:column."""


class Unreadable(InputError):
    """A file of a run is damaged, or not the record that its name stands for."""


class DataError(InputError):
    """A data set is missing, cut off, or not what it should be; `where` names the file."""


class RunFailed(SslrunError):
    """A run started and could not be finished (non-finite weights, a full disk, a damaged checkpoint)."""


class RunHeld(SslrunError):
    """Another live process works on this run."""


class Interrupted(SslrunError):
    """The user or the scheduler asked us to stop; the state has been saved."""

    exit_code = 130
