"""Images for training and testing: named datasets, downloads, packed stores, deterministic patches, checks."""

from nitido.data.catalog import (
    DATASETS,
    SAMPLES,
    DataError,
    Dataset,
    Download,
    ImageSet,
    Role,
    Sample,
    Split,
    dataset,
    resolve,
    resolve_all,
)
from nitido.data.center_crop import center_crop
from nitido.data.check import MINIMUM_SIDE, Finding, check_folder
from nitido.data.download import Fetched, Source, fetch, fetch_dataset
from nitido.data.pack import Entry, Store, prepare, refuse_chosen_tests, refuse_equal_tests, refuse_overlap
from nitido.data.patches import PatchPlan, PatchSampler, patch_plan, scale_index_of_step

__all__ = [
    "DATASETS",
    "MINIMUM_SIDE",
    "SAMPLES",
    "DataError",
    "Dataset",
    "Download",
    "Entry",
    "Fetched",
    "Finding",
    "ImageSet",
    "PatchPlan",
    "PatchSampler",
    "Role",
    "Sample",
    "Source",
    "Split",
    "Store",
    "center_crop",
    "check_folder",
    "dataset",
    "fetch",
    "fetch_dataset",
    "patch_plan",
    "prepare",
    "refuse_chosen_tests",
    "refuse_equal_tests",
    "refuse_overlap",
    "resolve",
    "resolve_all",
    "scale_index_of_step",
]
