"""Durations and sizes as people write them; the rules are the model's."""

from __future__ import annotations

from flaredb.model.units import DURATION_EXAMPLES as DURATION_EXAMPLES
from flaredb.model.units import SIZE_EXAMPLES as SIZE_EXAMPLES
from flaredb.model.units import format_duration as format_duration
from flaredb.model.units import format_size as format_size
from flaredb.model.units import parse_duration_ms as parse_duration_ms
from flaredb.model.units import parse_size_bytes as parse_size_bytes
