from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.completion import Completion
from mistral_nb.tasks.score import score_task


@given(
    low=st.floats(-1e6, 1e6),
    size=st.floats(1e-3, 1e6),
    share=st.integers(0, 100),
)
def test_whatever_the_range_a_score_is_within(low: float, size: float, share: int) -> None:
    task = score_task("urgency", low=low, high=low + size)
    first, last = task._scale
    kept = task.value(Completion(text=f'{{"score": {first + (last - first) * share // 100}}}', model="m"))

    assert low <= task.dtype.cell(kept) <= low + size
