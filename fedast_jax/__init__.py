"""FedAST in JAX: several models trained at once over one asynchronous client pool, exactly."""

from .config import Config as Config
from .config import ConfigError as ConfigError
from .config import load_config as load_config
from .config import make_config as make_config
from .data.errors import DataError as DataError
from .results import PlanReport as PlanReport
from .results import Result as Result
from .saving.checkpoint import Checkpoints as Checkpoints
from .saving.checkpoint import ResumeError as ResumeError
from .simulate import plan as plan
from .simulate import simulate as simulate
from .simulate import simulate_together as simulate_together
from .study.study import Study as Study
from .study.study import compare as compare
from .study.study import sweep as sweep
