"""Interventions on a generator, and what came of them. Importing it needs no deep-learning framework."""

from outcrop.attribution.outcomes import Outcomes, load_outcomes

__all__ = ["Outcomes", "load_outcomes"]
