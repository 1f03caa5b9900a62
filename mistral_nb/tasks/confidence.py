"""How sure an answer is: from the model's own probabilities, or from asking it several times.

Keeps to itself: how a key's probability is found among the tokens of an answer, and how votes are counted.
Promises: pure functions. A confidence is what the model gave its answer, from 0 to 1. It says which answers are surer than others,
not how often such answers are right: that only a comparison with labels of one's own can say.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mistral_nb.completion import Completion, JsonObject, TokenLogProbability
from mistral_nb.errors import AnswerProblem, InvalidOption, Refused

BY_LOG_PROBABILITIES = "log-probabilities"
BY_VOTES = "votes"

DEFAULT_VOTES = 5
MOST_VOTES = 16
# At temperature 0 all votes would be the same one.
VOTING_TEMPERATURE = 0.7
# As many as the API was seen to give elsewhere; the keys that compete for an answer are few.
_LIKELIEST_TOKENS = 10

_LABEL = re.compile(r'"label"\s*:\s*"')

Choice = TypeVar("Choice", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ConfidenceSource:
    """Where a confidence comes from: `votes` answers to the same question, or with None the answer's log-probabilities."""

    votes: int | None = None

    @property
    def name(self) -> str:
        return BY_LOG_PROBABILITIES if self.votes is None else BY_VOTES

    @property
    def request_options(self) -> JsonObject:
        """The fields of the API's request that ask for it."""
        if self.votes is None:
            return {"logprobs": True, "top_logprobs": _LIKELIEST_TOKENS}
        return {"n": self.votes}


def checked_votes(votes: Any) -> int | None:
    """Return the number of votes; InvalidOption for what is no whole number from 2 to 16."""
    if votes is None:
        return None
    if isinstance(votes, bool) or not hasattr(votes, "__index__") or not 2 <= votes <= MOST_VOTES:
        raise InvalidOption(f"votes is {votes!r}.", f"Give a whole number from 2 to {MOST_VOTES}, e.g. votes=5.")
    return int(votes)


def key_probability(tokens: Sequence[TokenLogProbability], keys: Iterable[str]) -> float | None:
    """Return the probability of the key that the answer's "label" is, among all the keys.

    It is the product over the tokens that write the key, each compared with those of the likeliest tokens that would have led to
    a key as well. None where the answer has no such tokens.
    """
    text = "".join(token.token for token in tokens)
    found = _LABEL.search(text)
    if found is None:
        return None
    quoted = [json.dumps(key, ensure_ascii=False)[1:] for key in keys]
    probability, end = 1.0, 0
    for token in tokens:
        start, end = end, end + len(token.token)
        if end <= found.end():
            continue
        before = text[start : found.end()]  # what the token has of the answer before the key
        written = text[found.end() : start]

        def leads_to_a_key(other: str, before: str = before, written: str = written) -> bool:
            if not other.startswith(before) or len(other) == len(before):
                return False
            longer = written + other[len(before) :]
            return any(key.startswith(longer) or longer.startswith(key) for key in quoted)

        rivals = {**token.likeliest, token.token: token.log_probability}
        total = math.fsum(math.exp(log) for other, log in rivals.items() if leads_to_a_key(other))
        probability *= math.exp(token.log_probability) / total if total else 0.0
        so_far = text[found.end() : end]
        if sum(key.startswith(so_far) or so_far.startswith(key) for key in quoted) <= 1:
            return min(1.0, probability)
    return None


def counted_votes(completion: Completion, read: Callable[[Completion], Choice]) -> tuple[Choice, float, Completion]:
    """Return what most of the choices say, the share of the choices that say it, and the first of these.

    A choice that can't be read is a vote for nothing. Of equals, what was said first counts.

    Raises
    ------
    AnswerProblem, Refused
        No choice can be read.
    """
    choices = (completion, *completion.other_choices)
    said: list[tuple[Choice, Completion]] = []
    problem: AnswerProblem | Refused | None = None
    for choice in choices:
        try:
            said.append((read(choice), choice))
        except (AnswerProblem, Refused) as error:
            problem = problem or error
    if not said:
        assert problem is not None, "there is one choice at least"
        raise problem
    ((winner, times),) = Counter(vote for vote, _ in said).most_common(1)
    return winner, times / len(choices), next(choice for vote, choice in said if vote == winner)
