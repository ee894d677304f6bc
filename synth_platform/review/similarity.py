"""How alike the texts of a sample are: cosines of their vectors, the Vendi score, Self-BLEU."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from synth_platform.contamination.words import Words, ngram_hashes
from synth_platform.encoder import Encode
from synth_platform.review.statistics import Interval, jackknife_interval, mean_interval

_FEATURE_BITS = 20
_MOST_NGRAM = 4
_SMOOTHING = 0.1


def similarities(words: Words, texts: Sequence[str], encode: Encode | None = None) -> np.ndarray:
    """Cosines of all pairs of texts: of their encoder vectors, or of TF-IDF vectors over hashed words and word pairs.

    Args:
        words: of the texts.
        texts: the texts.
        encode: gives vectors; None takes TF-IDF (sublinear counts, smoothed document frequencies).
    """
    if encode is None:
        vectors = _tf_idf(words)
        cosines = np.asarray((vectors @ vectors.T).todense())
    else:
        dense = np.asarray(encode(texts), dtype=np.float64)
        dense = dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
        cosines = dense @ dense.T
    np.fill_diagonal(cosines, 1.0)
    return cosines


def nearest_cosine(cosines: np.ndarray) -> Interval:
    """Mean, over the texts, of the cosine with the most similar other one; grows with the size of the sample."""
    if len(cosines) < 2:
        return Interval(0.0, 0.0, 0.0)
    others = cosines - 2 * np.eye(len(cosines))
    return mean_interval(others.max(axis=1))


def vendi_score(cosines: np.ndarray, groups: int = 8) -> Interval:
    """Effective number of different texts (Friedman and Dieng 2023), with an interval from leaving out groups of texts.

    It is 1 if all are the same and the number of texts if no two have anything in common.
    """
    count = len(cosines)
    group = np.arange(count) % groups
    parts = [group != left_out for left_out in range(groups)] if count >= 2 * groups else []
    # A smaller sample has a smaller score; scaled to the whole sample's size, what varies is the diversity.
    without = [_vendi(cosines[np.ix_(kept, kept)]) * count / int(kept.sum()) for kept in parts]
    interval = jackknife_interval(_vendi(cosines), without)
    return Interval(interval.value, max(interval.low, 1.0), max(min(interval.high, count), interval.value))


def self_bleu(words: Words) -> Interval:
    """Mean BLEU-4 of each text with all others as references (Zhu et al. 2018): high where texts repeat each other.

    All references are compared at once: an n-gram's count is clipped by the most that any one other text has of it.
    """
    lengths = np.diff(words.bounds)
    if len(lengths) < 2:
        return Interval(0.0, 0.0, 0.0)
    logs = np.zeros(len(lengths))
    for n in range(1, _MOST_NGRAM + 1):
        matched, total = _clipped(words, n)
        logs += np.log(np.maximum(matched, _SMOOTHING) / np.maximum(total, 1)) / _MOST_NGRAM
    closest = _closest_other(lengths)
    brevity = np.minimum(0.0, 1 - closest / np.maximum(lengths, 1))
    long = lengths >= _MOST_NGRAM
    return mean_interval(np.exp(logs + brevity)[long]) if long.any() else Interval(0.0, 0.0, 0.0)


def grams_of(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the word n-grams that lie in one text, and their texts' numbers."""
    count = len(words.hashes) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int32)
    hashes = ngram_hashes(words.hashes, *range(1, n)) if n > 1 else words.hashes
    inside = words.text[:count] == words.text[n - 1 :]
    return hashes[inside], words.text[:count][inside]


def _vendi(cosines: np.ndarray) -> float:
    if not len(cosines):
        return 0.0
    values = np.linalg.eigvalsh(cosines / len(cosines))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def _tf_idf(words: Words) -> sparse.csr_matrix:
    texts = len(words.bounds) - 1
    grams = [grams_of(words, n) for n in (1, 2)]
    columns = np.concatenate([hashes >> np.uint64(64 - _FEATURE_BITS) for hashes, _ in grams]).astype(np.int64)
    rows = np.concatenate([numbers for _, numbers in grams])
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(texts, 1 << _FEATURE_BITS))
    counts.sum_duplicates()
    frequency = np.bincount(counts.indices, minlength=1 << _FEATURE_BITS)
    weights = np.log((1 + texts) / (1 + frequency)) + 1
    counts.data = (1 + np.log(counts.data)) * weights[counts.indices]
    norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    counts.data /= np.repeat(np.maximum(norms, 1e-12), np.diff(counts.indptr))
    # What only one text has counts in its length but in no product.
    counts.data[frequency[counts.indices] == 1] = 0
    counts.eliminate_zeros()
    return counts


def _closest_other(lengths: np.ndarray) -> np.ndarray:
    """The length nearest to each one among all others, the smaller of two."""
    ordered = np.sort(lengths)
    place = np.searchsorted(ordered, lengths)
    padded = np.concatenate([[-np.inf], ordered, [np.inf]])
    before, after = padded[place], padded[place + 2]
    return np.where(lengths - before <= after - lengths, before, after)


def _clipped(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Per text, n-grams that some other text has too, clipped, and all n-grams."""
    texts = len(words.bounds) - 1
    hashes, numbers = grams_of(words, n)
    _, gram = np.unique(hashes, return_inverse=True)
    keys, counts = np.unique(gram.astype(np.int64) * texts + numbers, return_counts=True)
    gram, number = keys // texts, keys % texts
    # The two largest counts of each n-gram: a text is clipped by the larger one that is not its own.
    order = np.lexsort((-counts, gram))
    opens = np.flatnonzero(np.concatenate([[True], np.diff(gram[order]) > 0])) if len(order) else order
    sizes = np.diff(np.append(opens, len(order)))
    largest = counts[order[opens]]
    second = np.where(sizes > 1, counts[order[np.minimum(opens + 1, len(order) - 1)]], 0) if len(order) else largest
    holder = number[order[opens]]
    most = np.where(holder[gram] == number, second[gram], largest[gram]) if len(order) else counts
    matched = np.bincount(number, np.minimum(counts, most), minlength=texts)
    return matched, np.bincount(numbers, minlength=texts)
