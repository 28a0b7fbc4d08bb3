"""`publius models`: the models that Publius knows by name.

Paper: none.
"""

import json
import sys

import click

from publius.engines.fetch import cached_model, fetch_model
from publius.engines.models import MODELS
from publius.records import encode
