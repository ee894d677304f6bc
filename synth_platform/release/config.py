"""Settings of a release: what the dataset card says of it, and where it is published."""

from typing import Annotated, Literal

from pydantic import Field

from synth_platform.config import StrictModel


class FolderDestination(StrictModel):
    """A folder, such as a shared disk."""

    type: Literal["folder"]
    path: str = Field(min_length=1)
    """Relative paths start from the folder of the spec."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path


class BucketDestination(StrictModel):
    """A prefix in an S3 bucket; credentials come from the usual AWS variables."""

    type: Literal["s3"]
    url: str = Field(pattern=r"^s3://[^/]+/.+")
    """``s3://bucket/prefix``"""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.url


class HubDestination(StrictModel):
    """A dataset repository on the Hugging Face hub; the token comes from HF_TOKEN."""

    type: Literal["huggingface"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """``owner/name``; made if it is not there."""
    private: bool = True
    """Whether a repository that is made is private."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"hub:{self.repo}"


DestinationSpec = Annotated[FolderDestination | BucketDestination | HubDestination, Field(discriminator="type")]


class ReleaseSpec(StrictModel):
    """What the dataset card says beside the measured facts, and where releases are published."""

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
    publish: list[DestinationSpec] = Field(default_factory=list)
    """Where every release goes to."""
