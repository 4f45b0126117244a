"""The commands: parse, call one function, print. Nothing heavy is imported before a command needs it.

One file a group of commands; what they share is in `options`.
"""

import sys

import typer

from sslrun.cli.analyses import analysis_app
from sslrun.cli.machine import machine_app
from sslrun.cli.recipes import recipe_app
from sslrun.cli.reports import report_app
from sslrun.cli.runs import run_app
from sslrun.cli.sweeps import sweep_app
from sslrun.cli.theory import theory_app
from sslrun.errors import SslrunError

app = typer.Typer(
    name="sslrun",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Self-supervised learning experiments: why does this not collapse, and which part makes it work?",
)
for group in (run_app, analysis_app, sweep_app, report_app, recipe_app, theory_app, machine_app):
    app.add_typer(group)


def main() -> None:
    """Run a command; a designed error becomes its text and exit code, without a stack trace."""
    from sslrun import console

    try:
        if code := app(standalone_mode=False):  # what a command gave to typer.Exit
            sys.exit(code)
    except SslrunError as error:
        console.error(str(error))
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        console.error("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        show = getattr(error, "show", None)  # click's usage errors print themselves
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))
