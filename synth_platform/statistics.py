"""Statistics that several stages share."""

import math

Z = 1.959964
"""Standard normal deviate of a 95% interval."""


def wilson(hits: int, total: int) -> tuple[float, float]:
    """95% confidence interval of a share (Wilson 1927); everything is possible where there is nothing to count."""
    if not total:
        return 0.0, 1.0
    share, spread = hits / total, Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return (max(0.0, middle - half) if hits else 0.0), (min(1.0, middle + half) if hits < total else 1.0)


def bound_of_none(total: int) -> float:
    """Largest share that is compatible (95%, one-sided, exact) with not one hit: 1.0% for 300, 5.8% for 50."""
    return 1 - 0.05 ** (1 / total) if total else 1.0
