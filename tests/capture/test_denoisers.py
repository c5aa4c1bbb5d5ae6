"""The contract that every denoiser of diffusers keeps, on tiny configurations: denoisers.yaml."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from outcrop.capture.discovery import discover_sites
from outcrop.capture.hooks import Recorder
from outcrop.capture.outputs import tensors_in
from outcrop.capture.reduction import Reduction
from outcrop.capture.sites import Site

TABLE: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("denoisers.yaml").read_text())
EXCEPTIONS: dict[str, str] = TABLE.pop("exceptions")
BATCH = 2
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed:FutureWarning"),  # diffusers of itself
    pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning"),
]


def argument(value: Any, batch: int, draw: torch.Generator) -> Any:  # noqa: PLR0911, PLR0912  # one case a form
    """What stands for an argument in the table: a list is the shape of noise, a plain value itself."""
    if isinstance(value, list):
        return torch.randn((batch, *value), generator=draw)
    if not isinstance(value, dict):
        return value
    match value:
        case {"noise": shape}:
            return torch.rand((batch, *shape), generator=draw)
        case {"integers": shape, "below": top}:
            return torch.randint(0, top, (batch, *shape), generator=draw)
        case {"ones": shape}:
            return torch.ones((batch, *shape), dtype=getattr(torch, value.get("dtype", "float32")))
        case {"zeros_each": shape}:
            return torch.zeros((batch, *shape), dtype=getattr(torch, value["dtype"]))
        case {"zeros": shape}:
            return torch.zeros(shape)
        case {"list": shape}:
            return [torch.randn(shape, generator=draw) for _ in range(batch)]
        case {"times": count, "of": inner}:
            return [argument(inner, batch, draw) for _ in range(count)]
        case {"each": inner}:
            return torch.tensor([inner] * batch) if value.get("tensor") else [inner] * batch
        case {"ropes": shape}:
            return torch.polar(torch.ones(shape), torch.zeros(shape))
        case {"range": top}:
            return torch.arange(top)
        case {"ranges": tops}:
            return [torch.arange(top) for top in tops]
        case {"values": inner}:
            return inner
    raise AssertionError(f"no such form: {value}")


@dataclass
class Denoiser:
    model: nn.Module
    row: dict[str, Any]

    def inputs(self, batch: int = BATCH) -> dict[str, Any]:
        draw = torch.Generator().manual_seed(1)
        return {name: argument(value, batch, draw) for name, value in self.row["inputs"].items()}

    def another_image(self) -> dict[str, Any]:
        """The image that the model is given, its first argument, drawn again."""
        name, value = next(iter(self.row["inputs"].items()))
        return {name: argument(value, BATCH, torch.Generator().manual_seed(2))}

    def run(self, **changes: Any) -> list[Tensor]:
        with torch.no_grad():
            return [tensor.clone() for _, tensor in tensors_in(self.model(**(self.inputs() | changes)))]

    def sites(self) -> list[Site]:
        return [site for site in self.all_sites() if not site.inside_attention]

    def all_sites(self) -> list[Site]:
        with torch.no_grad():
            return discover_sites(self.model, lambda: self.model(**self.inputs()), aspect=self.row.get("aspect"))


@pytest.fixture(scope="module", params=TABLE)
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    row = TABLE[request.param]
    torch.manual_seed(0)
    model = getattr(diffusers, request.param)(**row["config"]).eval()
    for parameter in model.parameters():  # gates and output layers begin at zero, and would hide what goes through
        nn.init.normal_(parameter, std=0.1)
    return Denoiser(model, row)


def hooks_of(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def plain_outputs(denoiser: Denoiser, modules: set[str]) -> tuple[dict[str, list[Tensor]], list[Tensor]]:
    """Per module, in the order in which they end, the tensors that it puts out."""
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen.setdefault(name, [tensor.clone() for _, tensor in tensors_in(output)])

        return hook

    handles = [denoiser.model.get_submodule(name).register_forward_hook(keep(name)) for name in modules]
    result = denoiser.run()
    for handle in handles:
        handle.remove()
    return seen, result


def test_sites_are_recorded_as_plain_hooks_see_them(denoiser: Denoiser) -> None:
    sites = denoiser.sites()
    assert hooks_of(denoiser.model) == 0
    bare = denoiser.run()
    recorder = Recorder(denoiser.model, sites, steps=(0,), reduction=Reduction("full"), dtype="float32", half="cond")
    with recorder:
        recorder.begin(BATCH)
        output = denoiser.run()
        recorded = {name: torch.from_numpy(values[0]) for name, values in recorder.take().items()}
    assert hooks_of(denoiser.model) == 0
    seen, _ = plain_outputs(denoiser, {site.read_at.module for site in sites})
    assert all(torch.equal(a, b) for a, b in zip(bare, output, strict=True))
    assert list(dict.fromkeys(site.read_at.module for site in sites)) == list(seen)
    for site in sites:
        assert recorded[site.name].shape == (BATCH, *site.shape)
        assert found_in(recorded[site.name], site, seen[site.read_at.module])


def found_in(recorded: Tensor, site: Site, plain: list[Tensor]) -> bool:
    """Whether what was recorded is, bit for bit, one of the tensors, or a run of the positions of one."""
    tokens = as_tokens(recorded, site)
    for tensor in plain:
        turned = tensor.movedim(site.read_at.batch_axis, 0)
        whole = turned if turned.shape[0] == BATCH else turned.unflatten(0, (BATCH, -1))
        if whole.ndim == tokens.ndim and holds_run(whole, tokens):
            return True
    return False


class Attended(TorchFunctionMode):
    """Keeps what every call of scaled dot-product attention puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is nn.functional.scaled_dot_product_attention:
            self.outputs.append(result.clone())
        return result


def test_heads_are_what_attention_puts_out(denoiser: Denoiser) -> None:
    sites = [site for site in denoiser.all_sites() if site.inside_attention]
    assert bool(sites) == denoiser.row.get("heads", True)
    recorder = Recorder(denoiser.model, sites, steps=(0,), reduction=Reduction("full"), dtype="float32", half="cond")
    bare = denoiser.run()
    with recorder, Attended() as attended:
        recorder.begin(BATCH)
        output = denoiser.run()
        recorded = {name: torch.from_numpy(values[0]) for name, values in recorder.take().items()}
    assert hooks_of(denoiser.model) == 0
    assert all(torch.equal(a, b) for a, b in zip(bare, output, strict=True))
    heads = [head for whole in attended.outputs if whole.ndim == 4 for head in whole.unbind(1)]
    for site in sites:
        assert recorded[site.name].shape == (BATCH, *site.shape)
        if site.role == "head":
            tokens = as_tokens(recorded[site.name], site)
            assert any(holds_run(head, tokens) for head in heads), site.name
        elif site.role == "word-map":
            assert (recorded[site.name] >= 0).all()
            assert (recorded[site.name].sum(1 if site.read_at.grid else 2) < 1 + 1e-5).all()
        elif site.role == "head-mean":
            torch.testing.assert_close(recorded[site.name].sum(-1), torch.ones(BATCH, site.shape[0]))
        else:
            assert ((recorded[site.name] >= 0) & (recorded[site.name] < 10)).all()


def as_tokens(recorded: Tensor, site: Site) -> Tensor:
    return recorded.flatten(2).transpose(1, 2) if site.read_at.grid else recorded


def holds_run(whole: Tensor, tokens: Tensor) -> bool:
    """Whether ``tokens`` are, bit for bit, a run of positions of ``whole``."""
    if whole.shape[0] != tokens.shape[0] or whole.shape[2:] != tokens.shape[2:]:
        return False
    starts = range(whole.shape[1] - tokens.shape[1] + 1)
    return any(torch.equal(whole[:, start : start + tokens.shape[1]], tokens) for start in starts)


class Unmixed(TorchFunctionMode):
    """Attention that gives every position its own query, so that nothing goes from image to text or back."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query: Tensor = args[0] if args else (kwargs or {})["query"]
        return query


def test_without_mixing_the_image_moves_image_sites_alone(denoiser: Denoiser) -> None:
    sites = [site for site in denoiser.sites() if site.role != "skip" and "pool" not in site.name]
    recorder = Recorder(denoiser.model, sites, steps=(0, 1), reduction=Reduction("full"), dtype="float32", half="cond")
    with recorder, Unmixed():
        recorder.begin(BATCH)
        denoiser.run()
        denoiser.run(**denoiser.another_image())
        recorded = recorder.take()
    assert {site.stream for site in sites} <= {"image", "text"}
    for site in sites:
        moved = bool((recorded[site.name][0] != recorded[site.name][1]).any())
        assert moved == (site.stream == "image"), site.name


def test_maps_are_restored_and_text_keeps_its_tokens(denoiser: Denoiser) -> None:
    sites = denoiser.sites()
    blocks = [site for site in sites if site.role in {"block", "bottleneck"}]
    assert blocks
    if denoiser.row.get("maps", True):
        assert all(len(site.shape) == 3 for site in blocks if site.stream == "image")
    if "text" in denoiser.row:
        assert {site.shape[0] for site in blocks if site.stream == "text"} == {denoiser.row["text"]}


def test_an_exception_leaves_no_hook(denoiser: Denoiser) -> None:
    sites = denoiser.sites()
    breaking = denoiser.model.get_submodule(sites[-1].read_at.module)
    handle = breaking.register_forward_pre_hook(lambda *_: 1 / 0)
    recorder = Recorder(denoiser.model, sites, steps=(0,), reduction=Reduction("mean"), dtype="float32", half="cond")
    recorder.begin(BATCH)
    with pytest.raises(ZeroDivisionError), recorder:
        denoiser.run()
    with pytest.raises(ZeroDivisionError):
        denoiser.sites()
    handle.remove()
    assert hooks_of(denoiser.model) == 0


def test_every_denoiser_of_diffusers_is_covered_or_named_with_its_reason() -> None:
    packages = ("diffusers.models.transformers", "diffusers.models.unets")
    known = {
        name
        for name in dir(diffusers)
        for kind in [getattr(diffusers, name)]
        if isinstance(kind, type) and issubclass(kind, nn.Module) and kind.__module__.startswith(packages)
    }
    assert known >= {"UNet2DConditionModel", "FluxTransformer2DModel"}
    assert not TABLE.keys() & EXCEPTIONS.keys()
    assert known - TABLE.keys() - EXCEPTIONS.keys() == set()
    assert (TABLE.keys() | EXCEPTIONS.keys()) - known == set()
    assert all(len(reason) > 10 for reason in EXCEPTIONS.values())
