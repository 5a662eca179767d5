"""What a sweep's worker runs to be measured. It imports what such a worker has, and nothing else."""

from __future__ import annotations

from mts1b.bench.footprint_task import Held, peak
from mts1b.research.chunks import SweepWork, evaluate_chunks
from mts1b.research.plan import Chunk


def measured_chunks(work: SweepWork, chunks: tuple[Chunk, ...]) -> Held:
    """Compute, and tell what it took at most instead of what came out."""
    evaluate_chunks(work, chunks)
    return peak()
