"""Banding of MinHash sketches, for near duplicates within sources and within versions."""

_RECALL = 0.95


def band_shape(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands, and values in each: as many values (few candidates) as find a pair at the threshold in 95% of cases."""
    for rows in range(permutations, 0, -1):
        bands = permutations // rows
        if 1 - (1 - threshold**rows) ** bands >= _RECALL:
            return bands, rows
    return permutations, 1
