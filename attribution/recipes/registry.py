"""Every recipe by its name."""

from outcrop.attribution.recipe import Card, Recipe
from outcrop.attribution.recipes import heads, recorded, strict_or_broad
from outcrop.attribution.recipes.layers import LayerSwap, SkipInject
from outcrop.attribution.recipes.prompts import BLora, InstantStyle, LocoGen, PromptPlus

RECIPES: dict[str, Recipe] = {
    recipe.card.name: recipe for recipe in (LayerSwap(), SkipInject(), PromptPlus(), BLora(), InstantStyle(), LocoGen())
}
"""Those that are one study of one model."""

CARDS: dict[str, Card] = {
    card.name: card
    for card in (
        *(recipe.card for recipe in RECIPES.values()),
        heads.CARD,
        *recorded.CARDS.values(),
        strict_or_broad.CARD,
    )
}
"""All that there are."""
