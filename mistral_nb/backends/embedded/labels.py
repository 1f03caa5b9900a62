"""Which label fits a text: a language model's opinion and the closeness of embeddings, weighed by what the labels are like.

Keeps to itself: the prompt, the calibration, and the weights of the two opinions, which were chosen by measurement
(`tests/bench/quality.py` measures them).
Promises: the answer is always one of the labels; it is the same for the same text, whatever the other texts are; at most one
prompt and one embedding are asked per text, or where a text may have several labels, per part of it. Nothing is loaded here: the
two models are functions that the caller hands in.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mistral_nb.backends.embedded.label_fit import LESS_FOR_PARTS, fit, least_closeness, parts, with_whole
from mistral_nb.errors import InvalidLabels

NextTokenLogProbabilities = Callable[[str], Mapping[str, float]]
Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]

# Part of what an answer depends on: a cache that keeps answers must forget them when this changes.
METHOD_VERSION = 5

# With 20 labels the small models' opinion made the answer worse than the embedding alone, and cost 30 times as much.
MOST_LABELS_IN_PROMPT = 10

# Byte-level tokenizers make at most one token of a byte, so a prompt has at most 3,100 tokens; English has about 4 bytes a token.
TEXT_BYTES_IN_PROMPT = 1500
LABEL_BYTES_IN_PROMPT = 150

# MiniLM reads 512 word pieces, two of them its own marks, and makes at most one of a decomposed character.
CHARACTERS_IN_EMBEDDING = 500

# One name alone is a poor stand-in for the texts it labels; the mean over a few wordings is steadier.
LABEL_WORDINGS = ("{}", "This text is about {}.", "This is an example of {}.")

# What the model says of texts that say nothing (Zhao et al. 2021, "Calibrate Before Use") and of plain neutral sentences is
# its liking for the label itself. One kind alone was seen to be off by more than both together.
CONTENT_FREE_TEXTS = ("", "N/A", "[MASK]")
NEUTRAL_TEXTS = (
    "The meeting starts at ten.",
    "I went to the shop on Monday.",
    "Water boils at one hundred degrees.",
    "She has two brothers and a sister.",
    "What time is it?",
    "The book is on the table.",
    "It was as I expected.",
    "Please tell me more about it.",
    "Hello, how are you?",
    "There are several options.",
)

LOGITS_PER_COSINE = 16.0
LANGUAGE_MODEL_WEIGHT = 0.107
LARGEST_LANGUAGE_MODEL_WEIGHT = 2.0

# Log-odds between two labels that the language model's opinion rarely exceeds. Where it would take more to change the answer
# the model is not asked, which cost no accuracy: one row in twenty is left of the banking questions, all of the sentiments.
STRONGEST_OPINION = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScores:
    """The label that fits best, and a probability for each label, in the labels' order; they sum to 1.

    The probabilities say which answers are surer than others. They are not promised to be right as often as they say. Whether any
    label fits is another question than which fits best: a label may be the answer though `other` is likelier than each of them.
    """

    label: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralLabelScores:
    """The labels that apply, in the labels' order, and for each label the probability that it does.

    Above one half are those that apply.
    """

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]


class LabelChooser:
    """Chooses between `labels` for any number of texts; what depends on the labels alone is computed once, here.

    Parameters
    ----------
    labels
        At least two, all different, none blank. Names that say what they mean ("late delivery") do better than codes ("L2").
    other
        The one of them that texts have which none of the others fits.
    hints
        For each label, texts that say more of it, such as a description or examples; empty where there are none. With one
        example for each of 20 intents of bank customers the embedding was right for 0.82 of the texts instead of 0.74, with
        two for 0.85, with five for 0.87 (eight choices of intents, 2026-11).
    next_token_log_probabilities
        Returns, for a prompt, the texts of the most probable next tokens (some hundreds) with their log-probabilities. Asked
        13 times here and at most once per text, or part of one, where it can change the answer; never with more than 10 labels.
    embed
        Returns one vector of length 1 for each text. Asked once here and once per text.

    Raises
    ------
    InvalidLabels
        Fewer than two labels, one given twice, one that is blank, or hints for fewer or more labels than there are.

    Notes
    -----
    The embedding knows topics and hardly knows polarity: the vectors of "positive" and "negative" are nearly the same. The
    language model is the other way round. So the language model counts the more, the closer the labels' own vectors are to
    each other: its weight is inversely proportional to ``(1 - mean cosine between labels) ** 2``.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        hints: Sequence[Sequence[str]] = (),
        other: str | None = None,
        next_token_log_probabilities: NextTokenLogProbabilities,
        embed: Embed,
    ) -> None:
        if len(labels) < 2 or len(set(labels)) < len(labels) or not all(label.strip() for label in labels):
            raise InvalidLabels(
                f"There is no choice between the labels {list(labels)!r}.",
                'Give at least two different labels, none blank, e.g. ["billing", "delivery", "bug"].',
            )
        if hints and len(hints) != len(labels):
            raise InvalidLabels(
                f"There are {len(labels)} labels and hints for {len(hints)}.",
                "Give each label a list, if an empty one.",
            )
        if other is not None and other not in labels:
            raise InvalidLabels(f"The label {other!r} for all other texts is none of the labels.", "Add it to them.")
        self.labels = tuple(labels)
        self._other = other
        self._named = tuple(label for label in labels if label != other)
        self._hints = [found for label, found in zip(labels, hints, strict=True) if label != other] if hints else []
        self._next_token = next_token_log_probabilities
        self._embed = embed
        self._names = _readable_names(self._named)
        self._least_closeness = least_closeness(self._names, hinted=[bool(found) for found in self._hints])
        self._vectors, closeness = self._label_vectors()
        self._language_model_weight = _language_model_weight(closeness)
        self._asks_language_model = 2 <= len(self._names) <= MOST_LABELS_IN_PROMPT
        self._liking = self._liking_for_labels() if self._asks_language_model else []

    def choose(self, text: str) -> LabelScores:
        """Return the label that fits `text` best, with a probability for each label.

        Of a longer text only the beginning and the end are read: 1,500 bytes by the language model, 500 characters by the
        embedding. Texts can try to talk the model into a label; whatever they say, the answer is one of the labels.
        """
        (vector,) = self._embed([_for_embedding(text)])
        closeness = self._closeness(vector)
        shares = self._shares(text, closeness)
        probabilities = dict(zip(self._named, shares, strict=True))
        label = max(self._named, key=probabilities.__getitem__)
        if self._other is not None:
            fits = fit(max(closeness), self._least_closeness)
            probabilities = {name: fits * share for name, share in probabilities.items()} | {self._other: 1.0 - fits}
            label = label if fits > 0.5 else self._other
        return LabelScores(label=label, probabilities={name: probabilities[name] for name in self.labels})

    def choose_several(self, text: str) -> SeveralLabelScores:
        """Return the labels that apply to `text`: of each part the one that fits best, if it fits; or `other` alone, where there is
        one and nothing fits.

        Of each part as much is read as `choose` reads of a text.
        """
        found = parts(text)
        (whole, *vectors) = self._embed([_for_embedding(part) for part in [text, *found]])
        probabilities = [0.0] * len(self._named)
        for part, vector in zip(found, vectors, strict=True):
            closeness = self._closeness(with_whole(vector, whole))
            shares = self._shares(part, closeness)
            best = shares.index(max(shares))
            for place, share in enumerate(shares):
                applies = fit(closeness[place], self._least_closeness - LESS_FOR_PARTS) * (
                    1.0 if place == best else min(share, 0.5)
                )
                probabilities[place] = max(probabilities[place], applies)
        scores = dict(zip(self._named, probabilities, strict=True))
        if self._other is not None:
            scores[self._other] = 1.0 - max(probabilities)
        applying = tuple(name for name in self._named if scores[name] > 0.5)
        if not applying and self._other is not None:
            applying = (self._other,)
        return SeveralLabelScores(labels=applying, probabilities={name: scores[name] for name in self.labels})

    def _closeness(self, vector: Sequence[float]) -> list[float]:
        return [_dot(vector, label_vector) for label_vector in self._vectors]

    def _shares(self, text: str, closeness: Sequence[float]) -> list[float]:
        """Return for each label, but `other`, the probability that it fits better than the rest."""
        logits = [LOGITS_PER_COSINE * value for value in closeness]
        if self._asks_language_model and _lead(logits) < STRONGEST_OPINION * self._language_model_weight:
            opinions = zip(self._label_log_probabilities(text), self._liking, strict=True)
            weight = self._language_model_weight
            logits = [logit + weight * (log - liking) for logit, (log, liking) in zip(logits, opinions, strict=True)]
        return _softmax(logits)

    def _label_vectors(self) -> tuple[list[list[float]], float]:
        """Return each label's mean vector over the wordings, and how close the labels' names are to each other."""
        texts = [_for_embedding(wording.format(name)) for wording in LABEL_WORDINGS for name in self._names]
        found = self._embed(texts)
        count = len(self._names)
        by_wording = [found[start : start + count] for start in range(0, len(found), count)]
        vectors = [_mean(wordings) for wordings in zip(*by_wording, strict=True)]
        if any(self._hints):
            vectors = [self._with_hints(vector, hints) for vector, hints in zip(vectors, self._hints, strict=True)]
        return vectors, _mean_cosine(by_wording[0])

    def _with_hints(self, vector: list[float], hints: Sequence[str]) -> list[float]:
        """Return the vector, of length 1, that is as near to the label's name as to its hints."""
        if hints:
            vector = _mean([vector, _mean(self._embed([_for_embedding(hint) for hint in hints]))])
        length = math.sqrt(_dot(vector, vector))
        return [value / length for value in vector]

    def _liking_for_labels(self) -> list[float]:
        """Return the log-probability each label has without a text to speak for it."""
        kinds = [
            _mean([self._label_log_probabilities(text) for text in texts])
            for texts in (CONTENT_FREE_TEXTS, NEUTRAL_TEXTS)
        ]
        return _mean(kinds)

    def _label_log_probabilities(self, text: str) -> list[float]:
        names = [_bounded_bytes(name, LABEL_BYTES_IN_PROMPT) for name in self._names]
        prompt = f"Labels: {', '.join(names)}\n\nText: {_for_prompt(text)}\nLabel:"
        return label_log_probabilities(self._next_token(prompt), names)


def label_log_probabilities(next_token: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """Return for each name the log-probability that it is what the next token begins.

    A token that begins several names ("card" of "card arrival" and "card lost") counts for each of them in equal parts: it
    tells them from the others, not from each other. A name that no token begins gets the least probability there is.

    Parameters
    ----------
    next_token
        Text of each probable next token, with or without a space in front, and its log-probability.
    """
    ignores_case = len({name.casefold() for name in names}) == len(names)
    beginnings = [name.casefold() if ignores_case else name for name in names]
    probabilities = [0.0] * len(names)
    for token, log in next_token.items():
        start = token.strip().casefold() if ignores_case else token.strip()
        owners = [i for i, name in enumerate(beginnings) if start and name.startswith(start)]
        for i in owners:
            probabilities[i] += math.exp(log) / len(owners)
    least = min(next_token.values(), default=0.0)
    return [math.log(probability) if probability > 0 else least for probability in probabilities]


def _readable_names(labels: Sequence[str]) -> list[str]:
    """Write labels as words ("card_arrival" as "card arrival"), unless that makes two of them the same."""
    names = [_one_line(label.replace("_", " ")) or label for label in labels]
    return names if len(set(names)) == len(names) else list(labels)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _for_prompt(text: str) -> str:
    # One line, so that a text can't write a line of the prompt; "<|" begins the control tokens of the models' vocabularies.
    return _bounded_bytes(_one_line(text).replace("<|", "< |"), TEXT_BYTES_IN_PROMPT)


def _bounded_bytes(text: str, most_bytes: int) -> str:
    """Keep the first three quarters and the last quarter of what fits, never half a character."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= most_bytes:
        return encoded.decode("utf-8")
    tail = most_bytes // 4
    head = most_bytes - tail - len(" … ".encode())
    return f"{encoded[:head].decode('utf-8', 'ignore')} … {encoded[-tail:].decode('utf-8', 'ignore')}"


def _for_embedding(text: str) -> str:
    """Keep the beginning and the end of the text, as many characters as the embedding model can read for certain."""
    text = unicodedata.normalize("NFD", _one_line(text).encode("utf-8", "replace").decode("utf-8"))
    if len(text) > CHARACTERS_IN_EMBEDDING:
        tail = CHARACTERS_IN_EMBEDDING // 4
        text = f"{text[: CHARACTERS_IN_EMBEDDING - tail - 3]} … {text[-tail:]}"
    return unicodedata.normalize("NFC", text)


def _language_model_weight(closeness: float) -> float:
    distance = max(0.0, 1.0 - closeness)
    if distance**2 * LARGEST_LANGUAGE_MODEL_WEIGHT <= LANGUAGE_MODEL_WEIGHT:
        return LARGEST_LANGUAGE_MODEL_WEIGHT
    return LANGUAGE_MODEL_WEIGHT / distance**2


def _lead(logits: Sequence[float]) -> float:
    """Return by how much the best is ahead of the second best."""
    second, best = sorted(logits)[-2:]
    return best - second


def _mean_cosine(vectors: Sequence[Sequence[float]]) -> float:
    """Return the mean cosine over all pairs of vectors of length 1, from their sum: hundreds of labels have many pairs."""
    total = [sum(column) for column in zip(*vectors, strict=True)]
    count = len(vectors)
    return (_dot(total, total) - count) / (count * (count - 1)) if count > 1 else 0.0


def _mean(vectors: Iterable[Sequence[float]]) -> list[float]:
    return [math.fsum(column) / len(column) for column in zip(*vectors, strict=True)]


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _softmax(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    weights = [math.exp(logit - top) for logit in logits]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
