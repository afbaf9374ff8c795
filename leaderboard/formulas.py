"""The formula of each metric that a board shows, and the trap that makes two papers disagree.

TP, FP, FN, TN count pixels of all frames together at a threshold t (flagged: score >= t); P and N
are all anomalous and all normal pixels. Ignored pixels are counted nowhere.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explained:
    """How a metric is computed, and what to look out for."""

    formula: str  # LaTeX
    trap: str


FORMULAS = {
    "AP": Explained(
        r"\mathrm{AP} = \sum_k (R_k - R_{k-1})\,P_k,\quad R = \tfrac{TP}{P},\ "
        r"P_k = \tfrac{TP}{TP + FP}",
        "The trapezoidal area under the same points (often called AUPR) is not AP: with many equal "
        "scores it is too high. The AP of guessing is the share of anomalous pixels, so APs of "
        "data sets with other shares do not compare.",
    ),
    "AUROC": Explained(
        r"\mathrm{AUROC} = \Pr(s_a > s_n) + \tfrac12 \Pr(s_a = s_n)",
        "Anomalies are rare: an AUROC of 95 % can go with more false alarms than finds. Read it "
        "beside AP.",
    ),
    "FPR95": Explained(
        r"\mathrm{FPR95} = \tfrac{FP}{N}\ \text{at the highest}\ t\ \text{with}\ "
        r"20\,TP \geq 19\,P",
        "Papers interpolate, take the nearest point, or thin the curve first; they differ by whole "
        "points. The published variants on the board show by how much.",
    ),
    "bestF1": Explained(
        r"F_1^{*} = \max_t \tfrac{2\,TP}{2\,TP + FP + FN}",
        "An oracle: its threshold is chosen on the evaluated labels. It bounds what a deployed "
        "threshold can reach, and ranks only where it is asked for.",
    ),
    "sIoU": Explained(
        r"\mathrm{sIoU}(k) = \frac{|k \cap K|}{|(k \cup K) \setminus \text{other labels}|}",
        "k is a labelled component, K all predicted ones that touch it. Every labelled component "
        "counts alike, however large. The threshold is that of best F1 unless one was given.",
    ),
    "PPV": Explained(
        r"\mathrm{PPV}(p) = \frac{|p \cap \text{labelled components}|}{|p|}",
        "p is a predicted component. Small predicted ones are dropped first; the least size is "
        "part of the data set's protocol.",
    ),
    "F1*": Explained(
        r"\overline{F_1} = \tfrac{1}{11} \sum_{\tau \in \{25, 30, \dots, 75\}\,\%} F_1(\tau)",
        "Found is sIoU >= tau, right is PPV >= tau. One frame with hundreds of specks can decide "
        "it.",
    ),
    "mis.AP": Explained(
        r"\mathrm{AP}\ \text{with wrongly classified pixels as positives}",
        "The share of wrong pixels depends on the network: a worse network has an easier task. "
        "Compare only on one checkpoint.",
    ),
    "mis.AUROC": Explained(
        r"\Pr(s_{\text{wrong}} > s_{\text{right}}) + \tfrac12 \Pr(=)",
        "As for mis.AP: compare only on one checkpoint.",
    ),
    "mis.FPR95": Explained(
        r"\mathrm{FPR95}\ \text{with wrongly classified pixels as positives}",
        "As for mis.AP: compare only on one checkpoint.",
    ),
    "mIoU": Explained(
        r"\mathrm{mIoU} = \tfrac{1}{C} \sum_c \tfrac{TP_c}{TP_c + FP_c + FN_c}",
        "Averaged over the classes that occur or are called, so C may be below 19.",
    ),
    "ECE": Explained(
        r"\mathrm{ECE} = \sum_{b=1}^{15} \tfrac{n_b}{n}\,"
        r"\bigl|\mathrm{acc}(b) - \mathrm{conf}(b)\bigr|",
        "Over pixels, most of which are easy road and sky: a low ECE says little of rare classes.",
    ),
}
"""By name of the metric: those that a board shows unless others are asked for."""
