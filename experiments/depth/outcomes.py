"""What a cell's numbers mean, in one place: the rules that tables, figures and docs use."""
import statistics

# Cross-entropy, in nats a target token, of a model that knows nothing but how frequent each token is
# (entropy of the 4,000 pieces in the lower-cased, tokenised German training text). A deep model that is
# stuck ends there: its output layer learns, its branches do not.
FREQUENCIES = 5.65
STUCK_LEVEL = 5.2
SPIKE = 1.0  # nats above the lowest loss before it


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
    """How far the loss (mean of the last tenth of the run at most, ten lines at least) rose above its lowest value before."""
    lowest, worst = float("inf"), 0.0
    losses = known(result["training"]["loss"])
    for value in smooth(losses, 10)[9:]:
        lowest = min(lowest, value)
        worst = max(worst, value - lowest)
    return worst


def largest_gradient(result):
    return max(known(result["training"]["gradient_norm"]), default=None)


def outcome(result):
    """diverged: ten updates in a row with a gradient that is not finite (bough-train's exit code 3), or a loss
    SPIKE nats above where it began; stuck: it ends above STUCK_LEVEL; trained: neither."""
    losses = known(result["training"]["loss"])
    if result["exit_code"] == 3 or not losses or final_loss(result) > losses[0] + SPIKE:
        return "diverged"
    return "stuck" if final(result) > STUCK_LEVEL else "trained"
