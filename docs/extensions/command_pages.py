"""The reference of the command line, written from the commands themselves."""

from collections.abc import Iterator

import click
from sphinx.application import Sphinx

PAGE = "reference/commands"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add every command to the page of commands when it is read."""
    app.connect("source-read", _add_commands)
    return {"parallel_read_safe": True}


def _add_commands(_app: Sphinx, page: str, source: list[str]) -> None:
    if page == PAGE:
        from outcrop.cli import commands

        source[0] += "\n" + "\n".join(command_lines(commands, "outcrop"))


def command_lines(command: click.Command, path: str) -> Iterator[str]:
    """Markdown of a command, or of every command of a group, ordered by name."""
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from command_lines(child, f"{path} {name}")
        return
    yield f"## `{path}`\n"
    yield f"{_plain(command.help or '')}\n"
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    options = [parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option)]
    yield "| option | says |\n| --- | --- |"
    for option in options:
        spelt, told = option.get_help_record(context) or ("", "")
        yield f"| {_code(spelt)} | {_plain(told)} |"
    yield ""


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _plain(text: str) -> str:
    """Help texts hold globs, brackets and bars that Markdown would read as its own signs."""
    words = text.replace("\b", "").strip()
    for sign in "\\*_<>[]|`":
        words = words.replace(sign, "\\" + sign)
    return words
