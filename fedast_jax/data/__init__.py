"""Data sets: where they come from, how they are read, and which client holds what."""

from .dataset import Dataset as Dataset
from .download import prepare as prepare
from .errors import DataError as DataError
from .partition import Partition as Partition
from .reports import check_dataset as check_dataset
from .reports import list_datasets as list_datasets
from .sources import DATASETS as DATASETS
from .sources import load_dataset as load_dataset
from .tfds import load_tfds as load_tfds
