"""The two ways a part can end beside passing; each carries one sentence."""


class Failed(Exception):
    """Failed(sentence) or Failed(sentence, what was measured)."""

    @property
    def report(self):
        return self.args[1] if len(self.args) > 1 else {}


class Skipped(Exception):
    """What could not be tried: no time left, or a tool that this machine does not have."""
