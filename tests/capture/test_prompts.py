"""Prompts with labels: grids, files, lists."""

import json
from collections import Counter
from pathlib import Path

import pytest

from outcrop.capture.prompts import LabelledPrompt, PromptFile, PromptGrid, PromptList, check_labels
from outcrop.data.errors import InputError

FACTORS = {
    "content": {"disc": ["disc", "circle"], "star": ["star"]},
    "style": ["flat", "neon", "dotted"],
}
TEMPLATES = ("a {style} {content}", "{content}, {style}")


def grid(**changes: object) -> PromptGrid:
    return PromptGrid.model_validate({"factors": FACTORS, "templates": TEMPLATES} | changes)


def test_cross_gives_every_combination_every_wording() -> None:
    prompts = grid(wording="cross").expand()
    assert len(prompts) == 2 * 3 * 2 * 2
    cells = Counter((prompt.labels["content"], prompt.labels["style"]) for prompt in prompts)
    assert set(cells.values()) == {4}
    assert {"a flat disc", "circle, neon", "star, dotted"} <= {prompt.text for prompt in prompts}


def test_rotate_gives_every_combination_one_wording_and_deals_them_evenly() -> None:
    prompts = grid(wording="rotate").expand()
    assert len(prompts) == len({tuple(prompt.labels.items()) for prompt in prompts}) == 6
    dealt = Counter(prompt.template for prompt in prompts)
    assert max(dealt.values()) - min(dealt.values()) <= 1
    assert prompts == grid(wording="rotate").expand()


def test_the_text_of_a_prompt_says_its_labels() -> None:
    words = {"disc": {"disc", "circle"}, "star": {"star"}}
    for prompt in grid().expand():
        assert str(prompt.labels["style"]) in prompt.text
        assert any(word in prompt.text for word in words[str(prompt.labels["content"])])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {content}", r"must name exactly the factors \['content', 'style'\]. It names \['content'\]"),
        ("a {content} {style} {colour}", "must name exactly the factors"),
        ("a {content} {style} {}", "cannot be filled in"),
        ("a {content", "cannot be filled in .*expected '}'"),
        ("a {content:d} {style}", "cannot be filled in"),
        ("a {content.real} {style}", "cannot be filled in"),
    ],
)
def test_a_template_that_does_not_fit_is_refused(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(templates=[template]).expand()


@pytest.mark.parametrize("factors", [{"content": []}, {"content": {"disc": []}}])
def test_a_factor_without_words_is_refused(factors: dict[str, object]) -> None:
    with pytest.raises(InputError, match="'content' must have at least one value, and every value at least one word"):
        grid(factors=factors, templates=["{content}"]).expand()


def write(path: Path, text: str) -> PromptFile:
    path.write_text(text, encoding="utf-8")
    return PromptFile(file=path)


def test_csv_columns_become_labels(tmp_path: Path) -> None:
    table = "prompt,negative_prompt,template,content,count\na disc,,t1,disc,1\ntwo stars,blurry,,None,2\n"
    assert write(tmp_path / "p.csv", table).expand() == [
        LabelledPrompt("a disc", "t1", {"content": "disc", "count": 1}),
        LabelledPrompt("two stars", "p1", {"content": "None", "count": 2}, "blurry"),
    ]


def test_jsonl_keeps_numbers_and_text_apart_and_makes_a_mixed_column_text(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "size": 1, "mixed": 1}, {"prompt": "b", "size": 2.5, "mixed": "two"}]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    labels = [prompt.labels for prompt in write(tmp_path / "p.jsonl", text).expand()]
    assert labels == [{"size": 1, "mixed": "1"}, {"size": 2.5, "mixed": "two"}]


def test_quotes_line_separators_and_other_scripts_survive(tmp_path: Path) -> None:
    texts = ['a "quoted, comma" disc', "two\u2028lines", "漢字 🪨"]
    lines = "\n".join(json.dumps({"prompt": text}, ensure_ascii=False) for text in texts)
    assert [prompt.text for prompt in write(tmp_path / "p.jsonl", lines).expand()] == texts


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "text,label\na,b\n", r"must have a column 'prompt'. It has \['text', 'label'\]"),
        ("p.csv", "prompt,style\na,flat\nb,\n", "column 'style', has no value in data row 2"),
        ("p.csv", "", "could not be read as a table of prompts"),
        ("p.jsonl", '{"prompt": "a"}\n{"prom', "line 2, must be a JSON object"),
        ("p.jsonl", '["a", "b"]\n', "line 1, must be a JSON object"),
        ("p.jsonl", '{"prompt": "a", "x": 1}\n{"prompt": "b"}\n', "column 'x', has no value in data row 2"),
        ("p.xlsx", "prompt", r"must end in \.csv or \.jsonl"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write(tmp_path / name, text).expand()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no prompt file .*nothing\.csv"):
        PromptFile(file=tmp_path / "nothing.csv").expand()


@pytest.mark.parametrize("name", ["id", "prompt", "seed", "image", "template", "two words", "a/b", ""])
def test_a_label_may_not_take_a_reserved_name(name: str) -> None:
    with pytest.raises(InputError, match="A label may not be called"):
        check_labels([LabelledPrompt("a", "t", {name: "x"})])


@pytest.mark.parametrize("text", ["nul \0 byte", "half a pair \ud800"])
def test_text_that_cannot_be_stored_is_refused_before_any_work(text: str) -> None:
    prompts = PromptList(texts=("fine", text)).expand()
    with pytest.raises(InputError, match="Prompt 2 or its labels hold a character that is no text"):
        check_labels(prompts)


def test_no_prompts_are_refused() -> None:
    with pytest.raises(InputError, match="The prompts are empty"):
        check_labels([])
