"""How `--help` reads: commands in groups, whole sentences at the terminal's width, examples to copy on their own lines.

Typer's plain help (no markup); `options.command` puts a command into its group.
"""

import inspect
from typing import Any

from typer.core import TyperCommand, TyperGroup

GROUPS: dict[str | None, str] = {
    "run": "Run",
    "sweep": "Sweep",
    "look": "Look at what came of it",
    "recipe": "Recipes and data",
    "theory": "Theory",
    "machine": "This machine",
}
"""The groups of commands and their titles, in the order of `--help`."""
_EXAMPLE = "Example: "


def first_sentence(text: str | None) -> str:
    """What a list of commands says of one: the first sentence of its help."""
    paragraph = " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".") + "."


class Command(TyperCommand):
    """A command whose example stands on a line of its own, unbroken."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] RUN [FOLDER]`: versions of Typer differ in the brackets that they add."""
        pieces = ["[OPTIONS]"]
        for argument in (param for param in self.get_params(ctx) if param.param_type_name == "argument"):
            name = argument.metavar or argument.name.upper()
            pieces.append((name if argument.required else f"[{name}]") + "..." * (argument.nargs != 1))
        return pieces

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """The paragraphs of its docstring."""
        for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
            formatter.write_paragraph()
            with formatter.indentation():
                if paragraph.startswith(_EXAMPLE):
                    formatter.write(f"  Example:\n    {paragraph.removeprefix(_EXAMPLE)}\n")
                else:
                    formatter.write_text(paragraph)


class Commands(TyperGroup):
    """All commands, by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section a group; those of no group at the end."""
        known = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        widest = max(map(len, known))
        for group, title in {**GROUPS, None: "Other commands"}.items():
            rows = [
                (f"{name:{widest}}", first_sentence(command.help))
                for name, command in known.items()
                if command is not None and getattr(command, "rich_help_panel", None) == group
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
