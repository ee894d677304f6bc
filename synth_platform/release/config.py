"""Settings of a release: what the dataset card says of it."""

from pydantic import Field

from synth_platform.config import StrictModel


class ReleaseSpec(StrictModel):
    """What the dataset card says beside the measured facts."""

    title: str = ""
    """Heading of the card; the dataset's name if empty."""
    license: str = "other"
    """SPDX-like license of the whole, as the hub's cards write it (``apache-2.0``, ``odc-by``, ...)."""
    languages: list[str] = Field(default_factory=lambda: ["en"])
    """Language codes for the card's header."""
    limits: str = ""
    """Known limits in your own words; measured ones are added."""
    rows_per_file: int = Field(default=100_000, gt=0)
    """Rows of one Parquet file of the release."""
