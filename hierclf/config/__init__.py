"""The configuration: strict pydantic models read from YAML, with `key=value` overrides.

Unknown keys and values out of range are refused in one line that names the key, the rule and the
value received.
"""

from hierclf.config.data import DataConfig, FoldConfig
from hierclf.config.reading import load_config, parse_config
from hierclf.config.search import SearchConfig
from hierclf.config.sections import Config, ModelConfig
from hierclf.config.space import Choices, Interval, Space
from hierclf.config.thresholds import ThresholdConfig
from hierclf.config.training import TrainConfig

__all__ = [
    "Choices",
    "Config",
    "DataConfig",
    "FoldConfig",
    "Interval",
    "ModelConfig",
    "SearchConfig",
    "Space",
    "ThresholdConfig",
    "TrainConfig",
    "load_config",
    "parse_config",
]
