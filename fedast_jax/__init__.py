"""FedAST in JAX: several models trained at once over one asynchronous client pool, exactly."""

from .config.settings import Config as Config
from .config.settings import ConfigError as ConfigError
from .data.errors import DataError as DataError
from .results.records import PlanReport as PlanReport
from .results.result import Result as Result
from .run.checkpoint import Checkpoints as Checkpoints
from .run.checkpoint import ResumeError as ResumeError
from .run.plan import plan as plan
from .run.resolve import load_config as load_config
from .run.resolve import make_config as make_config
from .run.simulate import simulate as simulate
from .run.simulate import simulate_together as simulate_together
from .study.study import Study as Study
from .study.study import compare as compare
from .study.study import sweep as sweep
