"""What a release says of its mixture."""

from pathlib import Path

from synth_platform.mixing.schema import MIXTURE
from synth_platform.release.build import component_shares
from synth_platform.workspace import Workspace
from synth_platform_tests.snapshots.handmade import table, version


def test_every_component_with_a_weight_is_shown_even_without_a_row(tmp_path: Path) -> None:
    rows = table(MIXTURE, id=["1", "2"], recipe=["faq", "faq"], origin=["synthetic"] * 2, tokens=[30, 70], epoch=[0, 1])
    made = version(Workspace(tmp_path), "ds/mixture", {"mixture": rows}, settings={"mix_in": ["docs", "spare"]})
    weights = {"docs": 1.0, "faq": 2.0, "math": 1.0, "spare": 0.0}
    plan = [{"component": name, "weight": weight} for name, weight in weights.items()]
    mixture = made.manifest.model_copy(update={"details": {"plan": plan}})
    nothing = {"rows": 0, "tokens": 0, "share": 0.0, "epochs": 0}
    docs, faq, math = component_shares(made.scan("mixture"), mixture)
    assert docs == {"component": "docs", "origin": "original", **nothing}
    assert faq == {"component": "faq", "origin": "synthetic", "rows": 2, "tokens": 100, "share": 1.0, "epochs": 2}
    assert math == {"component": "math", "origin": "synthetic", **nothing}
    assert [one["share"] for one in component_shares(made.scan("mixture").clear(), mixture)] == [0.0] * 3
