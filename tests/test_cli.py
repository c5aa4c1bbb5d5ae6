"""The command line: exit codes, and messages that say what to do."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from outcrop.data.samples import Sample, sample_id
from outcrop.data.schema import DatasetRecord, SiteRecord, StepRecord
from outcrop.data.writer import open_writer

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """24 samples at one site, where ``content`` can be read off the first value."""
    ids = [sample_id("cli", "", k, k) for k in range(24)]
    samples = [
        Sample(name, f"prompt {k % 6}", k, f"t{k % 6}", labels={"content": "ab"[k % 2]}) for k, name in enumerate(ids)
    ]
    record = DatasetRecord(
        uuid="u",
        model="planted",
        dtype="float32",
        reduction="mean",
        half="cond",
        sites=(SiteRecord(name="mid_block", role="bottleneck", depth=0, source_shape=(3,), shape=(3,)),),
        steps=(StepRecord(index=0, timestep=1, log_snr=0, noise=50),),
        labels=("content",),
        planned_samples=24,
        shard_samples=24,
        spec={},
        provenance={},
    )
    values = np.random.default_rng(0).standard_normal((1, 24, 3)).astype("<f4")
    values[0, :, 0] = np.arange(24) % 2
    with open_writer(tmp_path / "ds", record) as writer:
        writer.commit(0, samples, {"mid_block": values})
        writer.seal(samples)
    return tmp_path / "ds"


def test_help_waits_for_no_heavy_import() -> None:
    code = (
        "import sys; sys.argv = ['outcrop', '--help']\n"
        "from outcrop.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(sorted({'numpy', 'pandas', 'torch', 'h5py', 'pydantic', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for command in (
        "capture",
        "probe",
        "report",
        "view",
        "sites",
        "inspect",
        "validate",
        "merge",
        "split",
        "export",
        "demo",
    ):
        assert command in done.stdout


@pytest.mark.parametrize("command", ["capture", "probe", "report", "sites", "inspect", "validate", "demo"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert out.startswith("Usage:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dig"], "No such command 'dig'"),
        (["capture"], "Missing option '--out'"),
        (["capture", "--out", "x"], "Give a CONFIG, or --model"),
        (["capture", "--out", "x", "--model", "outcrop:unet"], "Give a CONFIG, or --model and one of --prompts"),
        (["capture", "--out", "x", "--model", "m", "--prompts", "p.csv", "--prompt", "a cat"], "not both"),
        (["capture", "--out", "x", "--half", "left"], "Invalid value for '--half'"),
        (["probe"], "Missing argument 'DATASET'"),
        (["report", "a", "b"], "Give --out for a report on several"),
        (
            ["report", "a", "b", "--out", "x.html", "--effects", "c"],
            "Give --effects once for each data set: 2 times, not 1",
        ),
        (["view", "a", "--probes", "b", "--probes", "c"], "Give --probes once for each data set: 1 times, not 2"),
        (["view", "a", "--port", "99999"], "Invalid value for '--port'"),
    ],
)
def test_usage_errors_end_with_2(run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("command", ["report", "view"])
def test_a_study_in_the_place_of_a_data_set_is_told_where_it_belongs(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "outcomes.json").write_text("{}")
    code, out, err = run(command, tmp_path)
    assert (code, out) == (2, "")
    assert f"add --effects {tmp_path}" in err


def test_a_report_says_what_is_missing_before_any_work(run: Run, recorded: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "mistyped" / "report.html", recorded):
        code, _, told = run("report", recorded, "--out", out)
        assert code == 1
        assert str(out if out.is_dir() else out.parent) in told
    assert not (tmp_path / "mistyped").exists()
    code, _, told = run("report", recorded, "--probes", tmp_path / "sweep")
    assert code == 1
    assert told.endswith(f"Make it: outcrop probe {recorded} --out {tmp_path / 'sweep'}\n")
    code, _, told = run("view", recorded)
    assert code == 1
    assert told.endswith(f"Make it: outcrop probe {recorded}\n")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("model: outcrop:unnet\nprompts: {texts: [a]}", "There is no shipped model 'outcrop:unnet'"),
        ("model: ./nowhere\nprompts: {texts: [a]}", "Model './nowhere' is none of: a shipped model"),
        ("model: m/n\nprompts: {texts: [a]}\nstpes: 3", "stpes: there is no such key"),
        ("model: m/n\nprompts: p.csv", "must be a mapping: {file: prompts.csv}"),
        ("model: m/n\nprompts: {file: p.csv}", "There is no prompt file"),
        ("model: m/n\nprompts: {factors: {x: [a]}, templates: ['a {y}']}", "must name exactly the factors ['x']"),
        ("model: [", "is not readable YAML"),
    ],
)
def test_a_bad_configuration_ends_with_1_and_one_screen(run: Run, tmp_path: Path, fields: str, message: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(fields)
    code, out, err = run("capture", config, "--out", tmp_path / "ds")
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err
    assert len(err.splitlines()) < 24
    assert not (tmp_path / "ds").exists()


def test_a_missing_configuration_is_named(run: Run, tmp_path: Path) -> None:
    code, _, err = run("capture", tmp_path / "c.yaml", "--out", tmp_path / "ds")
    assert code == 1
    assert "There is no configuration file" in err


def test_flags_win_over_the_configuration(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("model: m/n\nprompts: {texts: [a]}\nseeds: {first: 7}\nsteps: 5\n")
    code, _, err = run("capture", config, "--out", tmp_path / "ds", "--steps", 0, "--per-prompt", 0)
    assert code == 1
    assert re.search(r"steps: .*Got 0", err)
    assert re.search(r"seeds\.per_prompt: .*Got 0", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--property", "contnet"], "Did you mean 'content'?"),
        (["--site", "mid_blok"], "Did you mean 'mid_block'?"),
        (["--step", "4"], "4"),
        (["--group-by", "tempalte"], "tempalte"),
        (["--memory", "much"], "such as 800MB or 2GiB"),
        (["--memory", "1", "--folds", "3"], "read by rows"),
    ],
)
def test_a_probe_of_what_is_not_there_is_refused(run: Run, recorded: Path, arguments: list[str], message: str) -> None:
    code, out, err = run("probe", recorded, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err
    assert not (recorded / "probes").exists()


@pytest.mark.parametrize("command", ["probe", "inspect", "validate", "report", "view"])
def test_a_data_set_that_is_not_there_is_named(run: Run, tmp_path: Path, command: str) -> None:
    code, _, err = run(command, tmp_path / "nothing")
    assert code == 1
    assert err.startswith("Error: ")
    assert "nothing" in err


def test_inspect_shows_sites_steps_and_labels(run: Run, recorded: Path) -> None:
    code, out, _ = run("inspect", recorded)
    assert code == 0
    assert "24 samples, 1 sites x 1 steps" in out
    assert "mid_block" in out
    assert "content: 2 classes: a 12, b 12" in out


def test_validate_tells_sound_from_damaged(run: Run, recorded: Path) -> None:
    code, out, _ = run("validate", recorded)
    assert code == 0
    assert "no errors" in out
    shard = recorded / "shards" / "000" / "s000000.h5"
    content = bytearray(shard.read_bytes())
    journal = json.loads((recorded / "journal.jsonl").read_text())
    content[journal["columns"]["mid_block"]["offset"]] ^= 1
    shard.write_bytes(content)
    code, out, err = run("validate", recorded)
    assert code == 1
    assert "site 'mid_block', step 0: the checksum does not match" in out
    assert "2 errors" in err
    code, out, _ = run("validate", recorded, "--json")
    assert code == 1
    assert [finding["severity"] for finding in json.loads(out)["findings"]][:2] == ["error", "error"]


def test_a_data_set_is_split_merged_and_exported(run: Run, recorded: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "split", recorded, "--out", tmp_path / "parts", "--part", "train=0.5", "--part", "test=0.5", "--json"
    )
    assert code == 0
    assert sorted(json.loads(out)["samples"].values()) == [12, 12]
    parts = [tmp_path / "parts" / name for name in ("train", "test")]
    assert run("merge", *parts, "--out", tmp_path / "whole")[0] == 0
    assert run("validate", tmp_path / "whole")[0] == 0
    code, _, err = run("merge", *parts, parts[0], "--out", tmp_path / "again")
    assert code == 1
    assert "both hold sample" in err
    assert run("split", recorded, "--out", tmp_path / "none")[0] == 2
    code, out, _ = run("export", tmp_path / "whole", "--out", tmp_path / "out", "--as", "npy", "--where", "seed < 5")
    assert code == 0
    assert "mid_block.npy" in out
    assert np.load(tmp_path / "out" / "mid_block.npy").shape == (1, 5, 3)


def test_inspect_tells_machines_the_same(run: Run, recorded: Path) -> None:
    code, out, _ = run("inspect", recorded, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["samples"], facts["labels"]["content"]["classes"]) == (24, {"a": 12, "b": 12})


def test_probe_finds_what_was_planted_and_writes_its_table(run: Run, recorded: Path) -> None:
    code, out, _ = run("probe", recorded, "--json", "--folds", 3)
    assert code == 0
    (row,) = json.loads(out)
    assert (row["property"], row["site"], row["step"]) == ("content", "mid_block", 0)
    assert row["accuracy"] > 0.9
    assert any((recorded / "probes").iterdir())


def test_a_wrong_property_lists_the_columns_once_and_an_impossible_split_says_what_is_possible(
    run: Run, recorded: Path
) -> None:
    code, _, err = run("probe", recorded, "--property", "nosuch")
    assert code == 1
    assert err.count("content") == 1
    code, _, err = run("probe", recorded, "--folds", 7)
    assert code == 1
    assert "With these samples one can use fewer folds (--folds 3, in Python spec=ProbeSpec(folds=3)).\n" in err
    assert run("probe", recorded, "--folds", 3)[0] == 0
