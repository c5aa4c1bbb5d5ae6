"""Put the published claims to the shipped models, and write what became of them into a page.

    python benchmarks/claims.py                                     every recipe on outcrop:unet and outcrop:dit
    python benchmarks/claims.py --model outcrop:dit --pairs 24      one model, fewer pairs
    python benchmarks/claims.py --platonic DIR --platonic DIR       with platonic: models, from less to more capable

Recipes go on where they were stopped, so a second run only writes the page. ``platonic`` compares models of which only
some are shipped; without two of them it is left out, and the page says so.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from outcrop.attribution.recipes.run import Setting
from outcrop.cli_recipe import NAMES, SEVERAL, run_recipe_command

MODELS = ("outcrop:unet", "outcrop:dit")
REFERENCE = "outcrop:unet"
Record = Mapping[str, Any]


def main() -> None:
    options = _options()
    setting = Setting(pairs=options.pairs, steps=options.steps)
    records = [
        _verdict(name, [model], setting, options.out / model.replace(":", "-") / name)
        for model in options.model
        for name in NAMES
        if name not in SEVERAL
    ]
    if options.platonic:
        records.append(_verdict("platonic", [REFERENCE, *options.platonic], setting, options.out / "platonic"))
    options.page.write_text(_page(records, setting, options.model), encoding="utf-8")
    print(f"{options.page}: {len(records)} verdicts")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=None)
    parser.add_argument("--platonic", action="append", default=[], metavar="DIR")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("runs/claims"))
    parser.add_argument("--page", type=Path, default=Path("docs/studies/claims.md"))
    options = parser.parse_args()
    options.model = options.model or list(MODELS)
    return options


def _verdict(name: str, models: Sequence[str], setting: Setting, out: Path) -> Record:
    print(run_recipe_command(name, models, setting=setting, out=out, clip=None).to_text(), flush=True)
    found: Record = json.loads((out / "verdict.json").read_text(encoding="utf-8"))
    return found


def _page(records: Sequence[Record], setting: Setting, models: Sequence[str]) -> str:
    ran = list(dict.fromkeys(record["recipe"] for record in records))
    missing = "" if "platonic" in ran else "\n`platonic` was not run: it compares models that are not all shipped.\n"
    return f"""# What became of the claims on the shipped models

The [recipes](../recipes.md) on {" and ".join(f"`{model}`" for model in models)}: {setting.pairs} pairs of prompts,
{setting.steps} steps. Made by `make claims`. These are small models of synthetic scenes: a claim about a large model is
neither confirmed nor refuted here. What is shown is that each can be tested, and what the test finds where nobody knew
the answer.

*Does not hold* has two causes, which the figures tell apart: *not shown* (the interval reaches below what counts as a
difference) and *the reverse is shown*. An effect of +1 is the whole way from picture B to picture A.
{missing}
{_summary(records, ran, models)}

## The figures that decided

{chr(10).join(_part(record) for record in records)}"""


def _summary(records: Sequence[Record], ran: Sequence[str], models: Sequence[str]) -> str:
    lines = [f"| recipe | claim | {' | '.join(models)} |", f"| --- | --- |{' --- |' * len(models)}"]
    for name in ran:
        own = {record["model"]: record for record in records if record["recipe"] == name}
        alone = next(iter(own.values()))  # a recipe that compares models has one verdict, put under the first
        found = [own[model]["outcome"] if model in own else "–" for model in models]
        if name in SEVERAL:
            found[0] = alone["outcome"]
        lines.append(f"| `{name}` | {alone['claim']} | {' | '.join(found)} |")
    return "\n".join(lines)


def _part(record: Record) -> str:
    head = f"### {record['recipe']} on {record['model']}: {record['outcome']}\n\n"
    where = "".join(f"- {place}: {_names(names)}\n" for place, names in record["mapping"].items())
    reason = record["reason"][:1].upper() + record["reason"][1:]
    return f"{head}{reason}.\n\n{where}{chr(10) if where else ''}{_figures(record['figures'])}"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _figures(rows: Sequence[Record]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(name.strip() for name in rows[0])} |", f"|{' --- |' * len(rows[0])}"]
    lines += [f"| {' | '.join(map(_number, row.values()))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "–" if value is None else str(value)


if __name__ == "__main__":
    main()
