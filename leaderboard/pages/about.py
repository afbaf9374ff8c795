"""Page 6: how the numbers come about, what each metric means, how to add a method or data set."""

import pandas as pd
import streamlit as st

from harness.data import DATASETS
from harness.metrics import FAMILIES, METRIC_VERSION, METRICS
from harness.metrics.flavours import FLAVOURS
from leaderboard.formulas import FORMULAS
from leaderboard.pages import address, visit
from leaderboard.rules import KINDS, RANKED, arrow
from leaderboard.site import FAMILY_TITLES, FLAGS

METHOD = '''"""MaxLogit: a pixel is anomalous when even its best class has a low logit."""

from dataclasses import dataclass

from torch import Tensor

from methods._posthoc import NetworkOutput, PostHoc


@dataclass
class MaxLogit(PostHoc):
    paper = "https://arxiv.org/abs/1911.11132"

    def score(self, output: NetworkOutput) -> Tensor:
        return -output.logits.amax(dim=0)
'''

PROTOCOL = """
A method gives every pixel of a frame a score, higher meaning more anomalous. The harness checks
that each map has the size of its label, is float32 and finite; it never resizes, squashes or
flips one. Counts of all frames are added, in integers, and metrics are computed from the sums:
pixels are pooled over the data set, so a frame with many anomalous pixels weighs more.

**Comparable** are runs with equal data (by a fingerprint over decoded images and labels), equal
metric version and equal protocol. Only these rank together.

**Intervals** of 95 % come from drawing whole frames (or scenes) anew, 2,000 times, with a
correction for few and uneven frames. They say how far other frames of the same kind would move
the number. They do not know of another training run or another city. Below 30 frames they are a
hint.

**Seeds** of one method are one row: the mean, and ± the standard deviation over seeds.

**Missing** values are shown as – and never help: a run that lacks a ranking metric has no place.
"""


def page() -> None:
    """Draws the page."""
    address.begin("about")
    st.title("About", anchor=False)
    tabs = st.tabs(["How runs compare", "Metrics", "Data sets", "Add yours"])
    for tab, part in zip(tabs, (_protocol, _metrics, _datasets, _add), strict=True):
        with tab:
            part()


def _protocol() -> None:
    st.markdown(PROTOCOL)
    st.subheader("Rules of ranking", anchor=False)
    for kind, said in KINDS.items():
        st.markdown(f"**{kind}**: {visit.plain(said)}")
    for family, metrics in RANKED.items():
        named = ", ".join(f"{metric} {arrow(metric)}" for metric in metrics)
        st.markdown(f"- {FAMILY_TITLES.get(family, family)} rank by {visit.plain(named)}")
    st.subheader("Flags", anchor=False)
    st.write("A run with a flag is shown, does not rank, and changes no rank.")
    for flag, said in FLAGS.items():
        st.markdown(f"**{flag}**: {visit.plain(said)}")
    st.subheader("Pictures", anchor=False)
    allowed = "are" if visit.pictures_allowed() else "are not"
    st.write(
        "Data sets whose terms do not clearly allow showing their images in public are shown only "
        f"on a private address, or with --with-images; here they {allowed} shown. Hidden labels "
        "are never shown."
    )


def _metrics() -> None:
    st.caption(f"Metric version {METRIC_VERSION}. Rates are printed in per cent.")
    for family in FAMILIES:
        st.subheader(FAMILY_TITLES.get(family, family), anchor=False)
        for name, metric in METRICS.items():
            explained = FORMULAS.get(name)
            if metric.family != family or explained is None:
                continue
            oracle = " · oracle" if metric.oracle else ""
            with st.expander(visit.plain(f"{name} {arrow(name)} {metric.title}{oracle}")):
                st.write(visit.plain(metric.meaning))
                st.latex(explained.formula)
                st.markdown(f"**Trap.** {visit.plain(explained.trap)}")
        others = [m for m in METRICS.values() if m.family == family and m.name not in FORMULAS]
        if others:
            with st.expander(f"{len(others)} more"):
                st.dataframe(
                    pd.DataFrame(
                        {
                            "metric": [f"{m.name} {arrow(m.name)}".strip() for m in others],
                            "title": [m.title for m in others],
                            "meaning": [m.meaning for m in others],
                        }
                    ),
                    hide_index=True,
                    alt="More metrics",
                )
    st.subheader("Published variants", anchor=False)
    st.caption("The same quantity as somebody's published code computes it.")
    st.dataframe(
        pd.DataFrame(
            {
                "variant": list(FLAVOURS),
                "of": [flavour.of for flavour in FLAVOURS.values()],
                "what": [flavour.title for flavour in FLAVOURS.values()],
                "published by": [flavour.published_by for flavour in FLAVOURS.values()],
            }
        ),
        hide_index=True,
        alt="Published variants of metrics",
    )


def _datasets() -> None:
    st.dataframe(
        pd.DataFrame(
            {
                "name": list(DATASETS),
                "title": [entry.title for entry in DATASETS.values()],
                "frames": pd.array([entry.frames for entry in DATASETS.values()], "Int64"),
                "labels": [
                    "hidden" if entry.hidden_labels else "public" for entry in DATASETS.values()
                ],
                "images in public": [
                    "yes" if entry.public_images else "no" for entry in DATASETS.values()
                ],
                "terms": [entry.licence for entry in DATASETS.values()],
                "paper": [visit.link(entry.paper) for entry in DATASETS.values()],
            }
        ),
        hide_index=True,
        placeholder="–",
        column_config={
            "name": st.column_config.TextColumn(pinned=True),
            "paper": st.column_config.LinkColumn(display_text="open"),
        },
        height=35 * (len(DATASETS) + 1) + 3,
        alt="The data sets of the catalogue",
    )


def _add() -> None:
    st.subheader("A method is one short file", anchor=False)
    st.code(METHOD, language="python")
    st.write("Score with it from anywhere; the run appears here by itself:")
    st.code("harness run --method path/to/max_logit.py --dataset synthroad", language="bash")
    st.subheader("Score maps made elsewhere", anchor=False)
    st.write("One file per frame (.npy or .score, float32, the size of the label), then:")
    st.code("harness evaluate SCORES --dataset road_anomaly --save", language="bash")
    st.subheader("A data set is one literal", anchor=False)
    st.write(
        "Add an entry to harness/data/catalog.py: name, terms, where images and labels lie, what "
        "the label values mean. For a folder of your own, no code is needed: put images/ and "
        "labels/ below one folder and score it as custom; harness/data/README.md says how."
    )
    st.code(
        "harness run --method max_logit --dataset custom --data-root my_street", language="bash"
    )


if __name__ == "__main__":
    page()
