"""The algorithms one event at a time."""

from .asynchronous import Known as Known
from .asynchronous import OneReplicate as OneReplicate
from .asynchronous import Oracle as Asynchronous
from .asynchronous import Request as Request
from .asynchronous import SymbolicLearner as SymbolicLearner
from .asynchronous import built_task as built_task
from .asynchronous import key_of as key_of
from .asynchronous import load_data as load_data
from .asynchronous import server_step as server_step
from .asynchronous import shared_out as shared_out
from .asynchronous import simulate_one_by_one as simulate_one_by_one
