"""Where pictures show something else than their prompts asked for."""

import pandas as pd

from outcrop.data.dataset import Dataset


def agreement(ds: Dataset) -> pd.DataFrame:
    """One row for each realised label: ``prompted``, ``realised``, ``n`` samples with both, the share that ``agrees``,
    and the commonest disagreement as ``asked``, ``shown`` and ``times``.
    """
    rows = []
    for label in ds.added_labels.values():
        if label.kind != "class" or label.realises not in ds.labels.columns or label.name not in ds.labels.columns:
            continue
        both = ds.labels[[label.realises, label.name]].dropna().astype(str)
        asked, shown = both[label.realises], both[label.name]
        counts = both[asked != shown].value_counts()
        commonest = (*counts.index[0], int(counts.iloc[0])) if len(counts) else ("", "", 0)
        rows.append((label.realises, label.name, len(both), float((asked == shown).mean()), *commonest))
    return pd.DataFrame(rows, columns=["prompted", "realised", "n", "agrees", "asked", "shown", "times"])
