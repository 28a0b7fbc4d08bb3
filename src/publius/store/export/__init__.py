"""Exports for other tools: files that they read as they come, with our provenance where there is room.

    trl               TRL 1.16, prompt explicit, conversational
    trl-implicit      TRL 1.16, prompt inside both conversations
    trl-hard          TRL 1.16, its three columns and nothing else
    openrlhf          OpenRLHF 0.11: prompt, chosen, rejected, and `margin` from the soft label
    nemo-rl           NeMo RL 0.5: context, and completions by rank
    verl              verl, rows of its RL dataset (main of 2026)
    hh                dialogues as text, as in anthropics/hh-rlhf
    annotated-pairs   AnnotatedPairs 2.0 of ICAI and Feedback Forensics: every principle's vote

What holds for all of them: rows are written as they come, memory does not grow with them; a file appears
whole or not at all; prompts of the held-out split never share a file with those of the train split; a
preference without a label is left out and counted. A tie (a label of one half) is left out and counted
too, since these trainers would learn its order as if it meant something; only AnnotatedPairs can say
"no preference", and keeps it. Half a surrogate pair in a text, which no UTF-8 file can hold, becomes U+FFFD.

Paper: none. Each format's file names the version it follows.
"""

from publius.store.export.annotated_pairs import About
from publius.store.export.formats import FORMATS, Format
from publius.store.export.splits import Exported, export_splits
from publius.store.export.stage_files import export_demonstrations, export_preferences

__all__ = [
    "FORMATS",
    "About",
    "Exported",
    "Format",
    "export_demonstrations",
    "export_preferences",
    "export_splits",
]
