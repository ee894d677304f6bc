"""What Dagster shows of a spec that cannot be used: an asset that says why, where the dataset's own would be."""

from collections.abc import Sequence
from typing import NoReturn

import dagster as dg

from synth_platform.dataset.installed import Refused
from synth_platform.digest import digest
from synth_platform.naming import REFUSED_GROUP


def refused_definitions(refused: Sequence[Refused]) -> dg.Definitions:
    """An asset for each, in a group of their own."""
    return dg.Definitions(assets=[_asset(one) for one in refused])


def _asset(one: Refused) -> dg.AssetsDefinition:
    text = str(one.error)
    spec = dg.AssetSpec(
        one.asset.split("/"),
        group_name=REFUSED_GROUP,
        kinds={"yaml"},
        description=f"`{one.path}` cannot be used. Other datasets go on without it. What its dataset has made is still"
        " there, and its schedule goes on when the file is right and the code location is reloaded."
        f"\n\n```text\n{text}\n```",
    )

    @dg.multi_asset(name=f"{REFUSED_GROUP}_{digest(one.asset)[:16]}", specs=[spec])
    def refused() -> NoReturn:
        raise dg.Failure(description=text, allow_retries=False)

    return refused
