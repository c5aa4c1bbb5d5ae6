"""The frame of the repository: every package is shipped, reached under one name, and kept small."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import outcrop

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
STAGES = sorted(name.removeprefix("outcrop.") for name in SETUPTOOLS["package-dir"] if name != "outcrop")
NOT_PACKAGES = {"benchmarks", "build", "dist", "docs", "notebooks", "runs", "src", "tests", "venv"}
LONGEST_MODULE = 400
LARGEST_TEXT = 2_000_000


def walk(folder: Path) -> Iterator[Path]:
    """Every file under ``folder``, except hidden folders, links, caches, build products and virtual environments."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name == "__pycache__":
            continue
        if path.is_file():
            yield path
        elif not path.name.startswith(".") or path.name == ".ci":
            is_product = path.parent == ROOT and path.name in {"build", "dist", "runs"}
            if not is_product and not (path / "pyvenv.cfg").exists():
                yield from walk(path)


def package_folders() -> set[str]:
    """The dotted names that the folders with modules ask for."""
    tops = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    stages = [path for path in tops if path.name not in NOT_PACKAGES and not (path / "pyvenv.cfg").exists()]
    modules = [path for stage in stages for path in walk(stage) if path.suffix == ".py"]
    inner = [path for path in walk(ROOT / "src" / "outcrop") if path.suffix == ".py"]
    names = {".".join(("outcrop", *path.parent.relative_to(ROOT).parts)) for path in modules}
    return names | {".".join(path.parent.relative_to(ROOT / "src").parts) for path in inner}


PACKAGES = sorted(package_folders())
MODULES = [path for path in walk(ROOT) if path.suffix == ".py"]


def folder_of(package: str) -> Path:
    parts = package.split(".")[1:]
    return ROOT.joinpath(*parts) if parts and parts[0] in STAGES else ROOT.joinpath("src", "outcrop", *parts)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_folder_with_modules_is_listed_in_pyproject() -> None:
    missing = set(PACKAGES) - set(SETUPTOOLS["packages"])
    assert not missing, f"add to tool.setuptools.packages (and, for a top-level folder, package-dir): {sorted(missing)}"


@pytest.mark.parametrize("package", SETUPTOOLS["packages"])
def test_every_listed_package_exists(package: str) -> None:
    assert (folder_of(package) / "__init__.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_a_relative_link_leads_to_every_stage(stage: str) -> None:
    link = ROOT / "src" / "outcrop" / stage
    assert link.is_symlink()
    assert link.readlink() == Path("..", "..", stage)
    assert link.resolve() == ROOT / stage


def test_no_link_without_a_stage() -> None:
    links = {path.name for path in (ROOT / "src" / "outcrop").iterdir() if path.is_symlink()}
    assert links == set(STAGES)


def is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]


def is_lazy_door(node: ast.stmt) -> bool:
    """The pieces of PEP 562 that the top of the package needs: a table of names, ``__getattr__`` and ``__dir__``."""
    if isinstance(node, ast.FunctionDef):
        return node.name in {"__getattr__", "__dir__"}
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and all(map(is_import, node.body)) and not node.orelse
    return isinstance(node, ast.Assign | ast.AnnAssign)


def makes_the_package_callable(node: ast.stmt) -> bool:
    """The one line of docs/decisions/0003-callable-capture.md."""
    return ast.unparse(node) == "sys.modules[__name__].__class__ = CallablePackage"


RULES = {"outcrop": [is_lazy_door], "outcrop.capture": [makes_the_package_callable]}


@pytest.mark.parametrize("package", PACKAGES)
def test_an_init_holds_imports_and_all_only(package: str) -> None:
    init = folder_of(package) / "__init__.py"
    allowed = [is_import, is_docstring, is_all, *RULES.get(package, [])]
    others = [
        ast.unparse(node).splitlines()[0]
        for node in ast.parse(init.read_text(encoding="utf-8")).body
        if not any(rule(node) for rule in allowed)
    ]
    assert not others, f"{relative(init)} does more than import: {others}"


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_a_module_stays_readable(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines, at most {LONGEST_MODULE}: split it by idea"


def text_files() -> Iterator[tuple[Path, str]]:
    for path in walk(ROOT):
        if path.stat().st_size > LARGEST_TEXT:
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


# Spelt so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.~/\-])/(?:work|root|tmp|home|Users)/[\w.]")
REGISTRY = re.compile("|".join(re.escape(name + ".org") for name in ("pypi", "pythonhosted", "npmjs")))


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "package registry"])
def test_no_file_names_this_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path, text in text_files()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.skipif(os.environ.get("OUTCROP_TEST_WHEEL") != "1", reason="only `make test` installs the wheel")
def test_the_wheel_is_under_test() -> None:
    home = Path(outcrop.__file__).resolve().parent
    assert home.parent.name == "site-packages"
    assert not home.is_relative_to(ROOT / "src")
    assert not any((home / stage).is_symlink() for stage in STAGES)


@pytest.mark.skipif(os.environ.get("OUTCROP_TEST_WHEEL") != "1", reason="only `make test` installs the wheel")
def test_the_wheel_holds_every_module_once_and_the_data_files() -> None:
    home = Path(outcrop.__file__).resolve().parent
    shipped = {path.relative_to(home) for path in walk(home) if path.suffix == ".py"}
    source = {
        folder_of(package).joinpath(path.name).relative_to(ROOT)
        for package in PACKAGES
        for path in folder_of(package).glob("*.py")
    }
    assert shipped == {path.relative_to("src/outcrop") if path.parts[0] == "src" else path for path in source}
    data = [path for folder in ("viz/templates", "zoo/models") for path in walk_if_there(ROOT / folder)]
    missing = [relative(path) for path in data if not (home / path.relative_to(ROOT)).is_file()]
    assert not missing, f"add a pattern to tool.setuptools.package-data for: {missing}"
    assert (home / "py.typed").is_file()


def walk_if_there(folder: Path) -> Iterator[Path]:
    return walk(folder) if folder.is_dir() else iter(())
