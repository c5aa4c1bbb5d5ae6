"""What the pages tell a reader to type, import and look at is there; `make docs` checks their links and docstrings."""

import ast
import importlib.util
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pandas as pd
import pytest

import outcrop
from outcrop.cli import commands

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md"))])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
FENCE = re.compile(r"^(`{3,})(\{?[\w:-]*\}?)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^\n|\A)((?: {4}[^\n]*\n|\n)+)", re.MULTILINE)
COMMAND = re.compile(r"^(?:\$ |torchrun .*\s)?(?:\.venv/bin/)?(outcrop [a-z].*)$")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The language and the text of every block of code; those set apart by four spaces have no language."""
    for match in FENCE.finditer(text):
        yield match[2], match[3]
    for match in INDENTED.finditer(FENCE.sub("", text)):
        yield "", "\n".join(line[4:] for line in match[1].splitlines())


def shell_lines(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        match = COMMAND.match(line.rstrip())
        if match and not line.startswith(("#", " ")):
            yield match[1]


def mentions(text: str) -> Iterator[str]:
    """Commands within sentences and tables; they may leave out what must be given."""
    for match in re.finditer(r"`(outcrop [a-z][^`]*)`", FENCE.sub("", text).replace("\n", " ")):
        yield match[1]


def refusal(line: str, *, complete: bool) -> str:
    """Why the command line refuses ``line``, or nothing. Files need not be there, and capitals stand for any value."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = commands
    if words[0] == "--help":
        return ""
    try:
        name, command, rest = commands.resolve_command(click.Context(commands), words)
        command.make_context(name or "", rest)
    except click.exceptions.Exit:
        return ""
    except (click.MissingParameter, click.BadOptionUsage) as error:
        return error.format_message() if complete else ""
    except click.BadParameter as error:
        told = error.format_message()
        return "" if re.search(r"does not exist|'[A-Z]+' is not", told) else told
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("page", NAMES)
def test_the_command_line_takes_every_command_that_a_page_shows(page: str) -> None:
    text = read(page)
    shown = [(line, True) for language, block in blocks(text) if language in {"", "text", "console", "bash", "sh"}
             for line in shell_lines(block)]  # fmt: skip
    shown += [(line, False) for line in mentions(text)]
    refused = {line: told for line, complete in shown if (told := refusal(line, complete=complete))}
    assert not refused


def test_a_wrong_command_is_refused_and_a_right_one_is_not() -> None:
    right = "outcrop probe runs/demo --permutations 199  # and a remark"
    assert refusal(right, complete=True) == ""
    assert "--permutation" in refusal("outcrop probe runs/demo --permutations-of 9", complete=True)
    assert "No such command" in refusal("outcrop prove runs/demo", complete=True)
    assert "out" in refusal("outcrop merge runs/a", complete=True)
    assert refusal("outcrop merge", complete=False) == ""
    assert "'many' is not a valid" in refusal("outcrop capture --steps many --out x", complete=False)


def test_commands_are_found_in_both_kinds_of_blocks_and_in_sentences() -> None:
    text = (
        "See `outcrop sites MODEL`.\n\n    outcrop probe a \\\n        --folds 3\n\n```text\n$ outcrop inspect b\n```\n"
    )
    found = [line for _, block in blocks(text) for line in shell_lines(block)]
    assert [" ".join(line.split()) for line in found] == ["outcrop inspect b", "outcrop probe a --folds 3"]
    assert list(mentions(text)) == ["outcrop sites MODEL"]
    assert len([line for page in ("README.md", "docs/how-to.md") for _, block in blocks(read(page))
                for line in shell_lines(block)]) > 30  # fmt: skip


@pytest.mark.parametrize("page", NAMES)
def test_make_has_every_target_that_a_page_names(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", read(page), re.MULTILINE)) <= targets


@pytest.mark.parametrize("page", NAMES)
def test_scripts_that_a_page_runs_are_there(page: str) -> None:
    text = read(page)
    scripts = re.findall(r"python (benchmarks/\w+\.py)", text)
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    for module in re.findall(r"python -m (outcrop[\w.]*)", text):
        assert importlib.util.find_spec(module) is not None, module


def is_python(language: str, block: str) -> bool:
    return language == "python" or (not language and re.search(r"^(import|from) \w", block, re.MULTILINE) is not None)


# Decisions name what was rejected, too.
@pytest.mark.parametrize("page", [name for name in NAMES if not name.startswith("docs/decisions/")])
def test_python_in_a_page_compiles_and_its_names_exist(page: str) -> None:
    text = read(page)
    for language, block in blocks(text):
        if is_python(language, block):
            check_names(ast.parse(block))
    for name in re.findall(r"`((?:outcrop|oc)\.[A-Za-z_.]*[A-Za-z_])(?:\(|`)", text):
        resolve(name)


def check_names(tree: ast.Module) -> None:
    """Everything imported from outcrop, and every attribute of ``oc``, is there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("outcrop"):
            for alias in node.names:
                resolve(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("oc."):
            resolve(ast.unparse(node))


def resolve(dotted: str) -> object:
    """What a dotted name leads to, modules imported on the way. Raises ``AttributeError`` where it leads nowhere."""
    first, *rest = dotted.split(".")
    assert first in {"oc", "outcrop"}
    found: object = outcrop
    path = "outcrop"
    for name in rest:
        path += f".{name}"
        try:
            found = getattr(found, name)
        except AttributeError:
            if importlib.util.find_spec(path) is None:
                raise
            found = importlib.import_module(path)
    return found


def test_a_name_that_is_not_there_is_seen() -> None:
    with pytest.raises(AttributeError, match="plot_nothing"):
        check_names(ast.parse("import outcrop as oc\noc.plot_nothing(1)"))
    with pytest.raises(AttributeError, match="nothing"):
        check_names(ast.parse("from outcrop.probes import nothing"))


def pictures(page: str) -> set[Path]:
    found = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", FENCE.sub("", read(page)))
    return {((ROOT / page).parent / path).resolve() for path in found}


def test_every_picture_is_there_and_has_a_command_that_makes_it() -> None:
    shown = set().union(*(pictures(page) for page in NAMES))
    rows = [line for line in read("docs/figures.md").splitlines() if line.startswith("| `")]
    made = {(ROOT / "docs" / name).resolve() for row in rows for name in re.findall(r"`([\w/-]+\.png)`", row)}
    committed = {path.resolve() for path in (ROOT / "docs").rglob("*.png")}
    assert shown <= committed
    assert committed == made
    assert all(re.search(r"`(make|outcrop|python) [^`]+` \|$", row) for row in rows)


def test_the_readme_shows_three_pictures_of_a_run() -> None:
    assert len(pictures("README.md")) >= 3


def test_pictures_have_words_for_those_who_do_not_see_them() -> None:
    bare = [page for page in NAMES if re.search(r"!\[\s*\]\(", read(page))]
    assert bare == []


def test_every_recipe_stands_among_the_claims() -> None:
    from outcrop.cli_recipe import NAMES as RECIPES

    for page in ("docs/claims.md", "docs/recipes.md"):
        assert set(RECIPES) <= set(re.findall(r"^\| `([\w-]+)` \|", read(page), re.MULTILINE))


def test_every_column_of_a_probe_table_is_explained() -> None:
    from outcrop.probes.table import CODED, COLUMNS, CONDITIONAL, PERMUTED

    section = read("docs/probes.md").split("## Every column")[1].split("## What a probe is")[0]
    told = set(re.findall(r"`(\w+)`", section))
    assert {*COLUMNS, *PERMUTED, *CODED, *CONDITIONAL} <= told


def test_the_row_that_a_page_shows_is_written_by_its_script() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "probe_row.py"))
    page = "a\n" + script["MARKS"][0] + "old\n" + script["MARKS"][1] + "b\n"
    found = script["written"](page, script["row_table"](pd.Series({"site": "mid", "accuracy": 0.5, "n": 4})))
    assert "| `site` | mid | `n` | 4 |\n| `accuracy` | 0.500 |" in found
    assert "old" not in found
    assert found.startswith("a\n")
    assert found.endswith("b\n")
    assert all(mark in read("docs/probes.md") for mark in script["MARKS"])
