"""All kinds of fault, and what the server does for each."""

from collections.abc import Mapping

from .fault_choices import CHOICES, VOTED
from .fault_generation import GENERATION
from .fault_kinds import Kind
from .fault_messages import MESSAGES
from .fault_server import Fault

KINDS: tuple[Kind, ...] = (*GENERATION, *CHOICES, *VOTED, *MESSAGES)
FAULTS: Mapping[str, Fault] = {kind.name: kind.fault for kind in KINDS}
