"""Where a run's time and randomness come from: one object, so that a run can be replayed by giving another."""

import os
import time


class Sources:
    """The real clock and the kernel's randomness. Override to replay."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since some moment; never goes back."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Wait. Needs no bound of its own: the kernel ends the run at its wall time, asleep or not."""
        time.sleep(seconds)

    def random_bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        return os.urandom(count)
