"""Count the documents in which a group of people and an occupation, or a judging word, share a sentence."""

from dataclasses import dataclass, replace

import numpy as np

from synth_platform.bias.lexicon import Lexicon
from synth_platform.bias.match import Hits, join


def count_beside(hits: Hits, lexicon: Lexicon) -> dict[str, np.ndarray]:
    """Documents in which groups and targets share a sentence, as the tables that ``counts.AXES`` names."""
    group_labels, target_labels = lexicon.of_role("attribute"), lexicon.of_role("target")
    attributes, attribute_of = np.unique(lexicon.label_family[group_labels], return_inverse=True)
    families, family_of = np.unique(lexicon.label_family[target_labels], return_inverse=True)
    groups, targets = len(group_labels), len(target_labels)
    text, group, target = _side_by_side(hits, group_labels, target_labels)
    owner = text.astype(np.int64) * len(attributes) + attribute_of[group]
    one = _Beside.of(owner * targets + target, group, groups)
    family = _Beside.of(owner * len(families) + family_of[target], group, groups)
    keys = np.unique(one.key)
    key_owner, key_target = np.divmod(keys, targets)
    which, entry = join(key_owner * len(families) + family_of[key_target], family.key)
    pair = family.group[entry] * targets + key_target[which]
    family_keys = np.unique(family.key)

    def table(places: np.ndarray, rows: int, columns: int) -> np.ndarray:
        return np.bincount(places, minlength=rows * columns).reshape(rows, columns)

    def beside(found: _Beside, columns: int) -> dict[str, np.ndarray]:
        place = found.group * columns + found.key % columns
        return {"beside": table(place, groups, columns), "alone": table(place[found.alone], groups, columns)}

    return {
        **beside(one, targets),
        **{f"family_{name}": values for name, values in beside(family, len(families)).items()},
        "any_beside": table(keys % (len(attributes) * targets), len(attributes), targets),
        "family_any": table(family_keys % (len(attributes) * len(families)), len(attributes), len(families)),
        "overlap_beside": table(pair, groups, targets),
        "overlap_alone": table(pair[family.alone[entry]], groups, targets),
    }


@dataclass(frozen=True)
class _Beside:
    """Groups beside targets, each once per document.

    Args:
        key: of document, attribute and target; ascending.
        group: number of the group.
        alone: it is the only one of its attribute with this key.
    """

    key: np.ndarray
    group: np.ndarray
    alone: np.ndarray

    @classmethod
    def of(cls, key: np.ndarray, group: np.ndarray, groups: int) -> "_Beside":
        once = np.unique(key * groups + group)
        key, group = np.divmod(once, groups)
        _, place, counts = np.unique(key, return_inverse=True, return_counts=True)
        return cls(key, group, counts[place] == 1)


def _side_by_side(hits: Hits, groups: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Text, group and target wherever both share a sentence, as different words: a waitress is not beside a waiter."""
    one, other = _once(hits, groups), _once(hits, targets)
    left, right = join(one.sentence, other.sentence)
    apart = (one.after[left] <= other.first[right]) | (other.after[right] <= one.first[left])
    left, right = left[apart], right[apart]
    group = np.searchsorted(groups, one.label[left])
    return one.text[left], group, np.searchsorted(targets, other.label[right])


def _once(hits: Hits, labels: np.ndarray) -> Hits:
    """Each label once per sentence: where it has ended for the first time, and where it begins for the last.

    A long table without full stops would otherwise give pairs without end.
    """
    found = hits.only(np.isin(hits.label, labels))
    found = found.only(np.lexsort((found.first, found.label, found.sentence)))
    new = np.ones(len(found), bool)
    new[1:] = (found.sentence[1:] != found.sentence[:-1]) | (found.label[1:] != found.label[:-1])
    last = np.roll(new, -1) if len(new) else new
    return replace(found.only(new), first=found.first[last])
