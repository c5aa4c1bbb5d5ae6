"""Prompts with labels: a grid of factors and templates, a table in a file, or a plain list."""

import itertools
import json
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from outcrop.data.errors import InputError
from outcrop.data.samples import LabelValue
from outcrop.data.tables import SAMPLE_COLUMNS

Words = dict[str, tuple[str, ...]]
OPTIONAL_COLUMNS = ("template", "negative_prompt")


@dataclass(frozen=True)
class LabelledPrompt:
    """A prompt, the name of its wording, and its labels."""

    text: str
    template: str
    labels: dict[str, LabelValue]
    negative: str = ""


class _Prompts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptGrid(_Prompts):
    """Every combination of the factors, worded by templates with one ``{field}`` per factor.

    A factor is a list of values, or maps each value to its synonyms (a value with fewer than the others repeats its
    last). A wording is a template with one choice of synonyms. ``wording="rotate"`` gives every combination one
    wording, dealt out evenly at random; ``"cross"`` gives it all of them.
    """

    factors: dict[str, list[str] | Words]
    templates: tuple[str, ...] = Field(min_length=1)
    wording: Literal["rotate", "cross"] = "cross"

    def expand(self) -> list[LabelledPrompt]:
        """All prompts in a fixed order. Raises :class:`InputError` for a template that does not fit the factors."""
        words = {name: _synonyms(name, values) for name, values in self.factors.items()}
        for template in self.templates:
            _check_template(template, set(words))
        depth = {name: max(len(options) for options in values.values()) for name, values in words.items()}
        choices = list(itertools.product(range(len(self.templates)), *(range(count) for count in depth.values())))
        cells = list(itertools.product(*words.values()))
        dealt = _deal(len(cells), len(choices)) if self.wording == "rotate" else None
        if dealt is not None:
            return [self._word(words, cell, choices[place]) for cell, place in zip(cells, dealt, strict=True)]
        return [self._word(words, cell, choice) for cell in cells for choice in choices]

    def _word(self, words: dict[str, Words], cell: tuple[str, ...], choice: tuple[int, ...]) -> LabelledPrompt:
        labels = dict(zip(words, cell, strict=True))
        options = {name: words[name][value] for name, value in labels.items()}
        used = {name: options[name][min(k, len(options[name]) - 1)] for name, k in zip(words, choice[1:], strict=True)}
        name = f"t{choice[0]}" + "".join(f"s{k}" for k in choice[1:])
        return LabelledPrompt(self.templates[choice[0]].format(**used), name, dict(labels))


class PromptFile(_Prompts):
    """A CSV or JSONL table with a column ``prompt``; ``template`` and ``negative_prompt`` may stand beside it.

    All other columns are labels. A label column that mixes text and numbers is text.
    """

    file: Path

    def expand(self) -> list[LabelledPrompt]:
        table = _read_table(self.file)
        if "prompt" not in table.columns:
            raise InputError(f"{self.file} must have a column 'prompt'. It has {list(table.columns)}.")
        labels = [name for name in table.columns if name not in {"prompt", *OPTIONAL_COLUMNS}]
        missing = [name for name in ["prompt", *labels] if table[name].isna().any()]
        if missing:
            row = int(table[missing[0]].isna().to_numpy().argmax())
            raise InputError(
                f"{self.file}, column {missing[0]!r}, has no value in data row {row + 1}. Fill it or drop it."
            )
        columns = {str(name): _plain_column(table[name]) for name in labels}
        optional = {
            name: table[name].fillna("").astype(str) if name in table else [""] * len(table)
            for name in OPTIONAL_COLUMNS
        }
        texts = zip(table["prompt"].astype(str), *optional.values(), strict=True)
        return [
            LabelledPrompt(text, template or f"p{row}", {name: cells[row] for name, cells in columns.items()}, negative)
            for row, (text, template, negative) in enumerate(texts)
        ]


class PromptList(_Prompts):
    """Prompts without labels."""

    texts: tuple[str, ...] = Field(min_length=1)

    def expand(self) -> list[LabelledPrompt]:
        return [LabelledPrompt(text, f"p{index}", {}) for index, text in enumerate(self.texts)]


def check_labels(prompts: Sequence[LabelledPrompt]) -> tuple[str, ...]:
    """The label names, the same for all prompts.

    Raises :class:`InputError` where there are no prompts, for a name that the format keeps for itself, and for text
    that fixed-length UTF-8 cannot hold.
    """
    if not prompts:
        raise InputError("The prompts are empty: give at least one.")
    for number, prompt in enumerate(prompts, start=1):
        for text in (prompt.text, prompt.template, prompt.negative, *prompt.labels.values()):
            if isinstance(text, str) and not _storable(text):
                raise InputError(
                    f"Prompt {number} or its labels hold a character that is no text: {text!r}. Remove it."
                )
    names = tuple(prompts[0].labels)
    for name in names:
        if name in SAMPLE_COLUMNS or name == "id" or not name.isidentifier():
            raise InputError(
                f"A label may not be called {name!r}: it must be a plain word, "
                f"and none of id, {', '.join(SAMPLE_COLUMNS)}."
            )
    return names


def _synonyms(name: str, values: list[str] | Words) -> Words:
    table: Words = values if isinstance(values, dict) else {value: (value,) for value in values}
    if not table or not all(table.values()):
        raise InputError(f"Factor {name!r} must have at least one value, and every value at least one word.")
    return table


def _check_template(template: str, factors: set[str]) -> None:
    try:
        fields = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
        template.format(**dict.fromkeys(fields, ""))
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise InputError(
            f"Template {template!r} cannot be filled in ({error}). Write {{factor}} for each of {sorted(factors)}, "
            "and {{ or }} for a brace."
        ) from error
    if fields != factors:
        raise InputError(
            f"Template {template!r} must name exactly the factors {sorted(factors)}. It names {sorted(fields)}."
        )


def _deal(cells: int, choices: int) -> list[int]:
    dealt = [index % choices for index in range(cells)]
    random.Random(cells * choices).shuffle(dealt)
    return dealt


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "None" and "NA" are words
        if path.suffix in {".jsonl", ".ndjson"}:
            return _read_lines(path)
    except FileNotFoundError:
        raise InputError(f"There is no prompt file {path}.") from None
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(f"{path} could not be read as a table of prompts: {error}") from error
    raise InputError(f"A prompt file must end in .csv or .jsonl. Got {path.name!r}.")


def _read_lines(path: Path) -> pd.DataFrame:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise InputError(
                f'{path}, line {number}, must be a JSON object such as {{"prompt": "a cat"}}. Got {line[:60]!r}.'
            )
        rows.append(row)
    return pd.DataFrame(rows, columns=list(dict.fromkeys(name for row in rows for name in row)), dtype=object)


def _storable(text: str) -> bool:
    """No NUL, at which fixed-length text ends, and no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


def _plain_column(values: "pd.Series[Any]") -> list[LabelValue]:
    """Numbers where all are numbers; else text."""
    plain = [_plain(value) for value in values]
    return [str(value) for value in plain] if any(isinstance(value, str) for value in plain) else plain


def _plain(value: object) -> LabelValue:
    """A table's cell as text, whole number or number."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
