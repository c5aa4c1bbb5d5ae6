"""Sites inside an attention module: what each head puts out, and what its probabilities come down to.

=================  ============================================================  ===========================
name               holds                                                         shape, for one sample
=================  ============================================================  ===========================
``M.head.K``       what head K puts out, before the heads are mixed              (channel, height, width)
``M.head.K.text``  the same at the text's positions of joint attention           (token, channel)
``M.words``        how much every place looks at each text token, mean over      (token, height, width)
                   heads (DAAM, Tang et al. 2022)
``M.entropy``      of what each head looks at from every place, in nats          (head, height, width)
``M.head-mean``    how much each head looks at each key, mean over queries       (head, key)
=================  ============================================================  ===========================

Queries of joint attention are the image's. Attention that does not call PyTorch's scaled dot product once, with a row
for each of the batch's, has none of these.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from outcrop.capture.attention_call import AttentionCall
from outcrop.capture.sites import Site
from outcrop.capture.streams import Segments, Stream, StreamTracer, holds, image_tokens, text_tokens
from outcrop.capture.taps import AttentionTap, Grid, find_grid

ROLES = {"words": "word-map", "entropy": "entropy", "head-mean": "head-mean"}


@dataclass(frozen=True)
class SeenAttention:
    """The sizes of one call in a dry pass, and the streams of its queries and keys."""

    heads: int
    queries: int
    keys: int
    channels: int
    query_segments: Segments
    key_segments: Segments

    @property
    def shows_words(self) -> bool:
        """Whether an image looks at a text."""
        return holds(self.query_segments, "image") and holds(self.key_segments, "text")


def seen_attention(call: AttentionCall, tracer: StreamTracer, *, rows: int) -> SeenAttention | None:
    """What a call tells, or ``None`` where positions are folded into its batch."""
    segments = tracer.segments(call.query), tracer.segments(call.key)
    if call.query.ndim != 4 or call.query.shape[0] != rows or segments[0] is None or segments[1] is None:
        return None
    _, heads, queries, _ = call.query.shape
    return SeenAttention(heads, queries, call.key.shape[2], call.output.shape[3], segments[0], segments[1])


def attention_sites(site: Site, seen: SeenAttention, shapes: Sequence[Grid]) -> Iterator[Site]:
    """The sites inside the attention module that ``site`` is the output of; ``shapes`` as in discovery."""
    joint = len(seen.query_segments) > 1
    queries, count = image_tokens(seen.query_segments, seen.queries)
    stream: Stream = "image" if holds(seen.query_segments, "image") else "text"
    grid = find_grid(count, shapes) if stream == "image" else None
    tap = AttentionTap(site.name, "heads", queries=queries, grid=grid)
    blank = replace(site, stream=stream, tap=tap)

    def positions(channels: int) -> tuple[int, ...]:
        return (count, channels) if grid is None else (channels, *grid)

    for head in range(seen.heads):
        name, own = f"{site.name}.head.{head}", replace(tap, head=head)
        yield replace(blank, name=name, role="head", shape=positions(seen.channels), tap=own)
        if joint:
            others, rest = text_tokens(seen.query_segments, seen.queries)
            own = replace(own, queries=others, grid=None)
            yield Site(f"{name}.text", "head", site.depth, (rest, seen.channels), "text", own)
    keys, words = text_tokens(seen.key_segments, seen.keys)
    shape = {"entropy": positions(seen.heads), "head-mean": (seen.heads, seen.keys)}
    taps = {"entropy": replace(tap, kind="entropy"), "head-mean": replace(tap, kind="head-mean")}
    if seen.shows_words:
        shape["words"], taps["words"] = positions(words), replace(tap, kind="words", keys=keys)
    for kind, own in taps.items():
        yield replace(blank, name=f"{site.name}.{kind}", role=ROLES[kind], shape=shape[kind], tap=own)
