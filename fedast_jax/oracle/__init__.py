"""The algorithms one event at a time: slow, plain, and sharing no planning with the engine.

Written from Askin et al. (UAI 2024): Algorithm 2 with options S and D, the synchronous methods of
Section 5, sequential and centralized training; docs/differences.md has what these leave open. It
has its own heap, its own loops, its own rules and its own bookkeeping. Only the configuration, the
random draws (``clients``), the data and a task's own functions (``tasks``) are the package's.
"""

from .asynchronous import Asynchronous as Asynchronous
from .kinds import built_task as built_task
from .kinds import key_of as key_of
from .kinds import load_data as load_data
from .learner import RealLearner as RealLearner
from .one_by_one import loop_of as loop_of
from .one_by_one import simulate_one_by_one as simulate_one_by_one
from .replicate import OneReplicate as OneReplicate
from .rules import server_step as server_step
from .shares import shared_out as shared_out
from .state import Known as Known
from .state import Learner as Learner
from .state import Request as Request
from .symbols import SymbolicLearner as SymbolicLearner
