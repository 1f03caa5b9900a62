"""What a rewritten text must not lose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.errors import InvalidAnswer
from mistral_nb.tasks.kept_parts import check_kept

PARTS = [
    "{name}", "{{ user.name }}", "{}", "{0:.2f}", "%s", "%(count)d", "${HOME}", "<b>", "</b>", "`df.head()`", "https://example.org/a?b=1",
    "ann@example.org", "4711", "2026", "[EMAIL_1]", "{user name}", "%.2f", "%5d", "%-10s", "%1$s", "%@", "%ld", "<br/>",
    '<a href="x">', "<input disabled>",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_gone_is_an_error(part: str) -> None:
    with pytest.raises(InvalidAnswer, match="lost"):
        check_kept(f"Pay {part} today", "Payez aujourd'hui")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_may_stand_elsewhere(part: str) -> None:
    check_kept(f"Pay {part} today", f"Aujourd'hui, payez « {part} ».")


def test_a_part_that_stood_twice_must_stand_twice() -> None:
    with pytest.raises(InvalidAnswer, match=r"'\{name\}'"):
        check_kept("{name} and {name}", "{name} et")


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("1,000,000 euros", "1 000 000 euros"),
        ("1,234.50 euros", "1.234,50 Euro"),
        ("10000 euros", "10 000 euros"),
        ("3 apples at 5 pm", "trois pommes à 17 h"),
        ("on 03/04/26", "le 4 mars 26"),
        ("100% sure, 5 % off", "sicher zu 100 %, 5 Prozent weniger"),
        ("a < b and b > c", "a < b et b > c"),
        ("It's {not} a {loop", "Ce n'est {not} une {loop"),
        ("50%ig", "à 50 %"),
        ("Write to [EMAIL_1]", "Écrivez à email_1"),
        ("x <b and c> d", "x <b et c> d"),
        ("1234,567 g", "1.234,567 g"),
        ("10,00,000 rupees", "1,000,000 Rupien"),
        ("in 2025 100 people came", "100 personnes en 2025"),
        ("rooms 100 and 200", "chambres 100 200"),
        ("call 555 123 4567", "appelez 555-123-4567"),
        ("in 2026", "२०२६ में"),
        ("order 4711", "commande `4711`"),
    ],
)
def test_what_a_language_writes_otherwise_is_no_loss(source: str, rewritten: str) -> None:
    check_kept(source, rewritten)


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("Order 123", "Bestellung 91234"),
        ("100 and 1000", "nur 1000"),
        ("5000 5000", "5000"),
        ("1,000 euros", "2.000 Euro"),
        ("100 000 euros", "200 000 euros"),
        ("rooms 100 and 200", "Zimmer 100"),
        ("1000 in 2026", "2026"),
    ],
)
def test_a_number_that_only_looks_kept_is_lost(source: str, rewritten: str) -> None:
    with pytest.raises(InvalidAnswer, match="lost"):
        check_kept(source, rewritten)


@given(st.text())
def test_an_unchanged_text_has_lost_nothing(text: str) -> None:
    check_kept(text, text)


@given(st.lists(st.sampled_from(PARTS), max_size=6), st.randoms(use_true_random=False))
def test_parts_may_change_places(parts: list[str], random: "st.random.Random") -> None:
    turned = list(parts)
    random.shuffle(turned)

    check_kept(" and ".join(parts), " et ".join(turned))
