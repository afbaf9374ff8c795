"""Page 3: where methods fail: a gallery of frames in a telling order, and one of them large."""

from collections.abc import Mapping, Sequence

import streamlit as st

from harness.errors import HarnessError
from harness.types import Run
from leaderboard.gallery import ORDERS, Card, FrameTable, cards
from leaderboard.pages import address, pixels, viewer, visit

MOST = 4  # heat maps side by side
CARDS = 12  # of a page of the gallery
CARD_PX = 164  # two of them fit beside each other on a telephone


def page() -> None:
    """Draws the page."""
    address.begin("frames")
    st.title("Frames", anchor=False)
    found = visit.runs()
    dataset = address.one_of("dataset", "Data set", visit.datasets(found))
    runs = {run.id: run for run in found.of(dataset)}
    names = visit.names(list(runs.values()))
    why_not = visit.withheld(dataset, list(runs.values()))
    if why_not:
        st.info(visit.plain(why_not))
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        chosen = address.some_of(
            "methods",
            "Runs, up to four; the first one decides what is worst and best",
            list(runs),
            default=_first(list(runs.values())),
            show=lambda run_id: names.get(run_id, run_id),
            most=MOST,
        )
    with right:
        order = address.one_of(
            "order",
            "Order of frames",
            ORDERS,
            help="By AP of the frame alone: lowest or highest of the first run, or the largest "
            "difference between two of the runs.",
        )
    if not chosen:
        st.info("Choose a run.")
        return
    shown = {names[run_id]: runs[run_id] for run_id in chosen}
    try:
        tables = [FrameTable.load(visit.settings().runs, run) for run in shown.values()]
    except HarnessError as error:
        st.warning(visit.plain(str(error)))
        return
    ordered = cards(tables, order)
    if not ordered:
        st.info("These runs have no frame in common.")
        return
    _gallery(dataset, shown, ordered)
    viewer.draw(dataset, shown, ordered, tuple(shown))


def _first(runs: Sequence[Run]) -> list[str]:
    """The two best runs by AP, those that rank before others."""
    order = sorted(runs, key=lambda run: (not run.ranks, -run.metrics.get("AP", -1.0), run.id))
    return [run.id for run in order[:2]]


def _gallery(dataset: str, shown: Mapping[str, Run], ordered: Sequence[Card]) -> None:
    first = next(iter(shown.values()))
    at = address.page_number("gallery", -(-len(ordered) // CARDS))
    with st.container(horizontal=True, gap="small"):
        for card in ordered[CARDS * (at - 1) : CARDS * at]:
            with st.container(width=CARD_PX, gap="xsmall"):
                picture = pixels.small_image(dataset, first, card.frame, 2 * CARD_PX)
                if picture is not None:
                    st.image(picture, width="stretch", alt=card.frame)
                aps = " / ".join("–" if ap is None else f"{100 * ap:.1f}" for ap in card.ap)
                st.button(
                    visit.plain(f"{card.frame}: {aps}"),
                    key=f"card-{card.frame}",
                    on_click=address.set_value,
                    args=("frame", card.frame),
                    width="stretch",
                    help="AP of the frame alone, in the order of the runs above.",
                )


if __name__ == "__main__":
    page()
    address.share()
