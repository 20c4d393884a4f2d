"""What a cell's numbers mean, in one place: the rules that tables, figures and docs use."""
import statistics

# Cross-entropy, in nats a target token, of a model that knows nothing but how frequent each token is
# (entropy of the 4,000 pieces in the lower-cased, tokenised German training text). A deep model that is
# stuck ends there: its output layer learns, its branches do not.
FREQUENCIES = 5.58
STUCK_LEVEL = 5.3
FALL = 0.15  # nats between the last two fifths of a run: more than batches differ, less than a run that learns
DIVERGED_RISE = 1.0  # nats above the loss of the first update


def known(values):
    return [v for v in values if v is not None]


def final_loss(result, share=0.1):
    """Mean training loss of the last tenth; None without one."""
    losses = known(result["training"]["loss"])
    return statistics.fmean(losses[-max(1, round(share * len(losses))):]) if losses else None


def final_cross_entropy(result):
    values = known(result["validation"]["cross_entropy"])
    return values[-1] if values else None


def final(result):
    """Validation cross-entropy where there is one, else training loss (then without smoothing or dropout)."""
    value = final_cross_entropy(result)
    return final_loss(result) if value is None else value


def smooth(values, window):
    """Mean over the last `window` known values: curves of single batches are noisy."""
    out, last = [], []
    for value in values:
        if value is None:
            out.append(None)
            continue
        last = (last + [value])[-window:]
        out.append(statistics.fmean(last))
    return out


def spike(result):
    """How far the loss, as a mean of ten log lines, rose above its lowest value before."""
    lowest, worst = float("inf"), 0.0
    losses = known(result["training"]["loss"])
    for value in smooth(losses, 10)[9:]:
        lowest = min(lowest, value)
        worst = max(worst, value - lowest)
    return worst


def largest_gradient(result):
    return max(known(result["training"]["gradient_norm"]), default=None)


def recent_fall(result):
    """Mean training loss of the last but one fifth of the run minus that of the last fifth."""
    losses = known(result["training"]["loss"])
    fifth = max(1, len(losses) // 5)
    return statistics.fmean(losses[-2 * fifth:-fifth] or losses) - statistics.fmean(losses[-fifth:])


def outcome(result):
    """diverged: bough-train ended the run (exit code 3), or the loss ends DIVERGED_RISE nats above where it began.
    trained: ends at STUCK_LEVEL or below. falling: above it, and still falling. stuck: above it and not falling."""
    losses = known(result["training"]["loss"])
    if result["exit_code"] == 3 or not losses or final_loss(result) > losses[0] + DIVERGED_RISE:
        return "diverged"
    if final(result) <= STUCK_LEVEL:
        return "trained"
    return "falling" if recent_fall(result) > FALL else "stuck"
