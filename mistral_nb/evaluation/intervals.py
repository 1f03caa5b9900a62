"""How sure a share is, and whether two models' answers to the same rows really differ.

Keeps to itself: the formulas. scikit-learn has no interval for an accuracy and no paired test, and would bring SciPy along for a
handful of counts.
Promises: pure functions of counts; exact where that is cheap.
"""

from math import comb, sqrt

_Z_95 = 1.959963984540054  # two-sided 95 % of the normal distribution

Interval = tuple[float, float]


def share_interval(hits: int, rows: int) -> Interval:
    """Return the 95 % interval of a share (Wilson 1927): sensible also for few rows and for shares near 0 and 1.

    NaN twice where there are no rows.
    """
    if not rows:
        return float("nan"), float("nan")
    share, z2 = hits / rows, _Z_95**2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = _Z_95 * sqrt(share * (1 - share) / rows + z2 / (4 * rows**2)) / (1 + z2 / rows)
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_p_value(only_first_right: int, only_second_right: int) -> float:
    """Return how often chance alone would give at least this difference, were both equally good (exact McNemar test, two-sided).

    Only the rows count where one is right and the other wrong; 1.0 where there are none.
    """
    rows = only_first_right + only_second_right
    fewer = min(only_first_right, only_second_right)
    tail = sum(comb(rows, count) for count in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << rows))
