"""A dataset whose spec asks for support: what its source does not say is rejected, and nobody else pays for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synth_platform.dataset.jobs import screen_job_name
from synth_platform.dataset.spec import load_spec
from synth_platform.dataset.what_if import with_changes
from synth_platform.encoder import EncoderError
from synth_platform.ops.instance import open_instance
from synth_platform.ops.launch import run_dataset
from synth_platform.quality import remeasure
from synth_platform.quality.replay import Replay, replay
from synth_platform.quality.schema import SUPPORT
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace
from synth_platform_tests.encoders import make_encoder
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, synth, write_spec

UNRELATED = (
    "Q: How are clouds made?\nA: Warm wet air rises until it cools and its vapour turns into drops.\n\n"
    "Q: Why do they float?\nA: Their drops are so tiny that even slow winds hold them up."
)
LIMITS = {"min_fact_accuracy": None, "max_invented_names": None, "min_support": 0.5}


class Made:
    """A small dataset with an answer that has nothing to do with its source; its engine is gone."""

    def __init__(self, workspace: Workspace, folder: Path, attributes: dict[str, Any], encoder: Path) -> None:
        self.workspace, self.folder, self._attributes, self._encoder = workspace, folder, attributes, encoder

    def screen(self, job: str | None = screen_job_name("small"), **limits: Any) -> None:
        """Judge all by these limits; without a job, make all."""
        quality = {name: deepcopy(limits) for name in ("faq", "math")}
        path = write_spec(self.folder, {**self._attributes, "quality": quality})
        with open_instance(self.workspace) as instance:
            ended = run_dataset(load_spec(path), self.folder, self.workspace, instance, job=job)
        assert ended.success, ended.problems

    def asking(self, similarity: float = 0.6) -> dict[str, Any]:
        """Limits that reject what is not supported."""
        return {**LIMITS, "support": {"encoder": str(self._encoder), "similarity": similarity}}

    def try_limits(self, *changes: str) -> Replay:
        """What would become of the FAQs."""
        spec = with_changes(load_spec(self.folder / "defs.yaml"), changes)
        recipe = next(one for one in spec.recipes if one.name == "faq")
        snapshots, cache = self.workspace.snapshots, self.workspace.encoders
        return replay(snapshots, "small", None, recipe, spec.quality["faq"], spec.privacy, cache)

    def head(self, asset: str) -> Snapshot:
        found = self.workspace.snapshots.head(f"small/{asset}", None)
        assert found is not None, asset
        return found

    def judged(self, recipe: str) -> pl.DataFrame:
        return self.head(f"quality/{recipe}").scan().collect()


@pytest.fixture(scope="module")
def made(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("support")
    answers = perfect_answers(8)
    asked = next(prompt for prompt, answer in answers.items() if "Q:" in answer)
    workspace = Workspace(folder / "home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SYNTH_HOME", str(workspace.home))
        environment.setenv("DAGSTER_HOME", str(workspace.dagster_home))
        with mock_engine(folder, {**answers, asked: UNRELATED}) as engine, no_encoder():
            attributes = dataset(
                engine.url,
                tokenizer_folder,
                sources=[{"type": "playground", "documents": 8}],
                recipes=[{"name": name, "sampling": {"max_tokens": 400}} for name in ("faq", "math")],
                contamination={"methods": ["exact"]},
            )
            encoder = make_encoder(folder / "encoder", tokenizer_folder)
            made = Made(workspace, folder / "spec", attributes, encoder)
            made.screen(job=None, **{**LIMITS, "min_support": None})
        yield made


@contextmanager
def no_encoder(*, find: bool = False) -> Iterator[None]:
    """Quality fails where it loads an encoder, or unless ``find``, so much as looks for one."""

    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("an encoder was asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remeasure, "Encoder", refuse)
        if not find:
            patch.setattr(remeasure, "find_encoder", refuse)
        yield


def test_an_answer_that_its_source_does_not_support_is_rejected(made: Made) -> None:
    assert made.judged("faq").select(SUPPORT).null_count().row(0) == (8, 8, 8), "nobody asked"
    assert (made.judged("faq")["verdict"] == "accepted").all()

    made.screen(**made.asking())
    faq = made.judged("faq")
    unrelated = faq.row(by_predicate=pl.col("verdict") == "rejected", named=True)
    assert unrelated["reasons"] == ["unsupported"]
    assert unrelated["support"] < 0.5 and unrelated["least_supported"] in UNRELATED
    assert len(unrelated["sentence_support"]) == 2 and unrelated["least_support"] == min(unrelated["sentence_support"])
    kept = faq.filter(pl.col("verdict") == "accepted")
    assert kept.height == 7 and unrelated["support"] < kept["support"].min()
    rejected = made.head("accepted/faq").scan("rejected").collect()
    assert rejected["reasons"].to_list() == [["unsupported"]]
    traced = synth("trace", unrelated["generation_id"], home=made.workspace.home)
    assert "least_supported" in traced.out, "a person sees the sentence"
    assert made.judged("math").select(SUPPORT).null_count().row(0) == (8, 8, 8), "a solution is not in the source"


def test_limit_and_similarity_change_without_an_encoder_at_work(made: Made) -> None:
    made.screen(**made.asking())
    with no_encoder(find=True):
        loose = made.try_limits("quality.faq.min_support=0")
        assert loose.measured and loose.changed_reasons() == {"unsupported": (1, 0)}
        strict = made.try_limits("quality.faq.support.similarity=1")
        assert strict.measured and strict.changed_reasons() == {"unsupported": (1, 8)}
        made.screen(**made.asking(similarity=-1))
    assert (made.judged("faq")["verdict"] == "accepted").all()
    with no_encoder():
        made.screen(**{**LIMITS, "min_support": None})
    assert made.judged("faq")["support"].null_count() == 8


def test_an_encoder_that_is_not_there_is_named(made: Made) -> None:
    made.screen(**made.asking())
    with pytest.raises(EncoderError, match="cannot be fetched"):
        made.try_limits("quality.faq.support.encoder=/nowhere/at/all")
