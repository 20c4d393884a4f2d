"""Times systems in turn, so that a clock that drifts hits all alike. Standard library only."""
import statistics
import time


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def interleave(systems, block, rounds, deadline=None):
    """{name: [seconds of `block` updates]}: bough, peer 1, bough, peer 2, ... in every round.

    `systems`: {name: object with run(count)}; the first is compared with all others. Ends early at `deadline`
    (time.monotonic), though not before the first round is done.
    """
    first, *others = systems
    seconds = {name: [] for name in systems}
    pairs = {name: [] for name in others}  # seconds of the first, just before
    for number in range(rounds):
        if number and deadline and time.monotonic() > deadline:
            break
        for name in others or [None]:
            own = systems[first].run(block)
            seconds[first].append(own)
            if name:
                pairs[name].append(own)
                seconds[name].append(systems[name].run(block))
    return seconds, pairs


def summary(seconds, block, tokens):
    """What the seconds of blocks say of one system. tokens: target tokens of an update, mean."""
    one = [s / block for s in seconds]
    median = statistics.median(one)
    return {"target_tokens_per_second": round(tokens / median, 1), "ms_per_update": round(median * 1e3, 4),
            "p5_ms": round(percentile(one, 0.05) * 1e3, 4), "p95_ms": round(percentile(one, 0.95) * 1e3, 4),
            "blocks": len(one)}


def ratio(own, other):
    """How many times faster: the median of the ratios of neighbouring blocks."""
    return round(statistics.median(b / a for a, b in zip(own, other)), 3)
