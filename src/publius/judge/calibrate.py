"""What a prompt prefers before it has read anything: the same prompt with empty texts in the answers' places.

The conversation and both answers are replaced by a placeholder, so a judge without bias would be torn; how
far it is not, in log-odds of the option shown first, is taken from every vote under that question. It is
asked once for a question's text, whatever the number of comparisons.

Paper: Zhao et al. 2021, arXiv:2102.09690, §5 (content-free inputs; their three). Departures: a shift of the
log-odds, which for two options is their scaling of the probabilities; the mean over the three is of log-odds.
"""

from collections.abc import Mapping, Sequence

from publius.engines.flow import Flow
from publius.engines.protocol import Choice, ChooseRequest
from publius.judge.form import PLACEHOLDERS, JudgeForm, JudgeQuestion
from publius.judge.prompts import Pair, options_of, verdict_prompt
from publius.judge.reading import readable
from publius.records import content_hash, conversation


def content_free(
    questions: Sequence[JudgeQuestion], form: JudgeForm, *, seed: int
) -> Flow[Mapping[str, float | str]]:
    """Return the bias under each question's text, in log-odds of the first place, or why it is unknown.

    It is the mean over the placeholders.
    """
    texts = list(dict.fromkeys(question.text for question in questions))
    requests = tuple(_request(text, word, form, seed=seed) for text in texts for word in PLACEHOLDERS)
    said = iter((yield requests))
    return {text: _bias([readable(next(said)) for _ in PLACEHOLDERS]) for text in texts}


def _request(text: str, word: str, form: JudgeForm, *, seed: int) -> ChooseRequest:
    # the id is that of the prompt: all who ask it share one answer
    prompt = verdict_prompt(Pair(conversation(("user", word)), text, word, word), form, seed=seed)
    return ChooseRequest(content_hash(prompt), prompt.messages, options_of(form.layout), prompt.prefill)


def _bias(choices: Sequence[Choice | str]) -> float | str:
    unread = [choice for choice in choices if isinstance(choice, str)]
    if unread:
        return f"the empty prompt: {unread[0]}"
    odds = [choice.logprobs[0] - choice.logprobs[1] for choice in choices if isinstance(choice, Choice)]
    return sum(odds) / len(odds)
