"""The data sets that the harness knows, as a table of literals; README.md says how to add one."""

from dataclasses import dataclass

from harness.data.labels import ClassIds, Values


@dataclass(frozen=True)
class Layout:
    """One way in which a data set lies on disk.

    Patterns name files below the folder: `{id}` is the frame's id, `{n}` a four-digit number that
    is no part of it, `*` any one folder. Without an ending, any image file fits. The first
    pattern that fits a file gives its id.
    """

    title: str  # "official", or whose arrangement it is
    folders: tuple[str, ...]  # below the data root, its `data/` or its `datasets/`; "" is the root
    images: tuple[str, ...]
    labels: tuple[str, ...] = ()  # anomaly labels; () where they are hidden or do not exist
    values: Values | None = None  # of the label files
    classes: tuple[str, ...] = ()  # files with Cityscapes ids
    class_ids: ClassIds | None = None
    image_folders: tuple[str, ...] = ()  # where images lie when not beside the labels
    overlays: tuple[str, ...] = ()  # `.npz` files that are added to the images
    own_ids: bool = False  # may hold renumbered frames; these are flagged as unverified


@dataclass(frozen=True)
class Overlap:
    """Frames that a data set shares with another one."""

    dataset: str
    frames: int | None  # how many; None: not known
    note: str = ""


@dataclass(frozen=True)
class Dataset:
    """One entry: what the set is, which frames belong to it, and where they lie."""

    name: str
    title: str
    paper: str
    licence: str  # a note on the terms, not legal advice
    address: str  # where to get it
    size: str = ""  # of the download, where it is known
    kind: str = "folder"  # "folder"; "drawn" by the harness; "custom": the user's own folder
    metric_families: tuple[str, ...] = ("pixel",)  # of its official protocol
    predicted_px: int = 500  # component metrics drop smaller predicted components …
    labelled_px: int = (
        100  # … and ignore smaller labelled ones; the defaults: SMIYC's Anomaly track
    )
    scene: str = ""  # a regular expression whose group names an id's scene; "": each its own
    public_images: bool = False  # may the images be shown publicly? False where that is unclear
    hidden_labels: bool = False  # the labels exist, but only the organisers have them
    for_training: bool = False  # meant to be learned from, not to be scored
    frames: int | None = None  # how many belong to it; None: as many as there are
    ids: tuple[str, ...] = ()  # the canonical ids, where they are known one by one
    id_rule: str = ""  # else: a regular expression that a whole id fits
    excluded: tuple[str, ...] = ()  # ids that fit the rule and still do not belong to it
    beside: str = ""  # a regular expression for ids of other sets that lie in the same folders
    layouts: tuple[Layout, ...] = ()  # in the order in which they are tried
    overlaps: tuple[Overlap, ...] = ()
    notes: tuple[str, ...] = ()  # label policy and other facts that a reader of numbers needs
    checksums: tuple[str, ...] = ()  # "file: md5 …" or "file: sha256 …", as published
    hub_repository: str = ""
    hub_revision: str = ""  # 40 hex digits


RENUMBERED = r"(image_?)?\d+"
"""Ids of copies that number their frames anew: `0`, `image_12`."""

BINARY = Values(normal=(0,), anomaly=(1,), ignore=(255,))
ROAD_ANOMALY = Values(normal=(0,), anomaly=(2,))
ROAD_ANOMALY_REPACKED = Values(normal=(0,), anomaly=(1,))
LOST_AND_FOUND = Values(normal=(1,), anomaly=tuple(range(2, 201)), ignore=(0, 255))
LABEL_IDS, TRAIN_IDS = ClassIds("labelIds"), ClassIds("trainIds")

SMIYC_PAPER = "https://arxiv.org/abs/2104.14812"
SMIYC_LICENCE = "the LICENSE.txt of the download; images belong to their authors"
SMIYC_HUB = "kumuji/roadanomaly21_roadobstacle21"
ANOMALY_FOLDERS = (
    *("dataset_AnomalyTrack", "SegmentMeIfYouCan/dataset_AnomalyTrack"),
    *("smiyc/dataset_AnomalyTrack", "SMIYC/dataset_AnomalyTrack", "RoadAnomaly21"),
)
OBSTACLE_FOLDERS = (
    *("dataset_ObstacleTrack", "SegmentMeIfYouCan/dataset_ObstacleTrack"),
    *("smiyc/dataset_ObstacleTrack", "SMIYC/dataset_ObstacleTrack", "RoadObstacle21"),
)
OBSTACLE_TEST_SCENES = (
    r"(curvy-street|one-way-street|gravel|greyasphalt|motorway|paving|darkasphalt2?)_.+"
)

ANOMALY21_TEST = (
    *("airplane0000", "airplane0001", "bear0000"),
    *(f"boat_trailer{i:04}" for i in range(5)),
    *("camel0000", "camel0001"),
    *(f"caravan{i:04}" for i in range(8)),
    *(f"carriage{i:04}" for i in range(8)),
    *("cock0000", "coffin0000"),
    *(f"cones{i:04}" for i in range(7)),
    *(f"cow{i:04}" for i in range(14)),
    *("deer0000", "deer0001", "donkey0000", "donkey0001"),
    *(f"elephant{i:04}" for i in range(12)),
    *("goose0000", "hay0000"),
    *(f"horse{i:04}" for i in range(5)),
    *("leopard0000", "lion0000", "piano0000", "pig0000", "pig0001", "rhino0000", "rhino0001"),
    *("scooter0000",),
    *(f"sheep{i:04}" for i in range(11)),
    *("tent0000",),
    *(f"tractor{i:04}" for i in range(6)),
    *("zebra0000", "zebra0001"),
)

LOST_AND_FOUND_FOLDERS = (
    *("lost_and_found", "LostAndFound", "lostandfound", "dataset_LostAndFound", ""),
)
LOST_AND_FOUND_OFFICIAL = Layout(
    title="official",
    folders=LOST_AND_FOUND_FOLDERS,
    images=("leftImg8bit/test/*/{id}_leftImg8bit",),
    labels=("gtCoarse/test/*/{id}_gtCoarse_labelIds",),
    values=LOST_AND_FOUND,
)
SEQUENCE = r"(.+)_\d{6}"  # frames of one drive, seconds apart
LOST_AND_FOUND_RULE = r"\d\d_.+_\d{6}_\d{6}"
LOST_AND_FOUND_INVALID = (
    *(
        f"02_Hanns_Klemm_Str_44_{rest}"
        for rest in (
            *("000000_000190", "000001_000210", "000002_000190", "000003_000180"),
            *("000004_000200", "000005_000200", "000006_000200", "000007_000250"),
            *("000008_000220", "000009_000240", "000010_000220", "000017_000180"),
        )
    ),
    *("04_Maurener_Weg_8_000006_000140", "04_Maurener_Weg_8_000013_000240"),
    *("05_Schafgasse_1_000003_000170", "05_Schafgasse_1_000011_000100"),
    *("05_Schafgasse_1_000011_000110",),
)
LOST_AND_FOUND_NOTES = (
    "Label policy: ids 2 to 200 are anomalies, id 1 (road) is normal, everything else is ignored, "
    "as SegmentMeIfYouCan does. Ids 31, 33, 34 and 36 to 39 (random non-hazards) are ignored by "
    "others (PEBAL, meta-ood) and normal for RbA: numbers differ between papers.",
    "17 of the 1203 frames of the test split have an empty label and are left out, "
    "as SegmentMeIfYouCan does.",
    "The PNG files carry a gamma value, which is not applied, as in SegmentMeIfYouCan; decoders "
    "that apply it give other pixels.",
)
LOST_AND_FOUND_LICENCE = "Daimler AG; non-commercial research only"
LOST_AND_FOUND_ADDRESS = "http://wwwlehre.dhbw-stuttgart.de/~sgehrig/lostAndFoundDataset/index.html"

FISHYSCAPES_PAPER = "https://arxiv.org/abs/1904.03215"
FS_LOST_AND_FOUND_IDS = (
    *(
        f"01_Hanns_Klemm_Str_45_{sequence:06}_{frame:06}"
        for sequence, frames in (
            (0, (80, 140, 200, 230, 260)),
            (1, (60, 120, 180, 210, 240)),
            (2, (70, 130, 190, 220)),
            (3, (30, 90, 150, 180, 210)),
            (4, (120, 180, 210)),
            (5, (80, 140, 200, 230)),
            (8, (60, 120, 180, 240)),
            (9, (90, 150, 210)),
            (10, (50, 110, 170, 200)),
            (11, (50, 110, 170, 200, 230, 260)),
            (12, (160, 220, 250, 280)),
        )
        for frame in frames
    ),
    *(
        f"04_Maurener_Weg_8_{sequence:06}_{frame:06}"
        for sequence, frames in (
            (0, (30, 90, 150, 180)),
            (1, (30, 90, 150, 180, 210)),
            (2, (60, 120, 150)),
            (3, (30, 90, 120)),
            (4, (20, 80, 140, 170, 200)),
            (5, (50, 110, 170, 200)),
            (6, (40, 100, 130)),
            (7, (20, 80, 140, 170)),
            (8, (40, 100, 130, 160, 190)),
        )
        for frame in frames
    ),
    *(
        f"13_Elly_Beinhorn_Str_{sequence:06}_{frame:06}"
        for sequence, frames in (
            (0, (50, 110, 170, 230, 260, 290)),
            (1, (80, 140, 200, 230)),
            (2, (30, 90, 120)),
            (3, (80, 140, 200, 260)),
        )
        for frame in frames
    ),
)
# repacked copies keep the official names, in part, or number the frames anew
FS_LOST_AND_FOUND_NAMES = ("{n}_{id}_leftImg8bit", "{id}_leftImg8bit", "{n}_{id}_rgb", "{n}_{id}")
FS_STATIC_NAMES = ("{id}_leftImg8bit", "{id}_rgb", "{id}")

CITYSCAPES_FOLDERS = ("cityscapes", "Cityscapes", "CityScapes", "")
CITYSCAPES_RULE = r"[a-z-]+_\d{6}_\d{6}"
CITYSCAPES_LICENCE = "Cityscapes terms of use: registration, non-commercial research"


def _below(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _cityscapes(split: str) -> tuple[Layout, ...]:
    return tuple(
        Layout(
            title=title,
            folders=CITYSCAPES_FOLDERS,
            images=(
                f"leftImg8bit/{split}/*/{{id}}_leftImg8bit",
                f"leftImg8bit_trainvaltest/leftImg8bit/{split}/*/{{id}}_leftImg8bit",
            ),
            classes=(
                f"gtFine/{split}/*/{{id}}_gtFine_{ids.kind}",
                f"gtFine_trainvaltest/gtFine/{split}/*/{{id}}_gtFine_{ids.kind}",
            ),
            class_ids=ids,
        )
        for title, ids in (("official", LABEL_IDS), ("official with train ids", TRAIN_IDS))
    )


_ALL = (
    Dataset(
        name="synthroad",
        title="SynthRoad, test",
        paper="",
        licence="Apache-2.0, as the harness that draws it",
        address="drawn by the harness; no files are needed",
        kind="drawn",
        frames=50,
        metric_families=("pixel", "component"),
        predicted_px=50,
        labelled_px=10,
        public_images=True,
        notes=("Embedded benchmark: drawn scenes. It says little about photographs.",),
    ),
    Dataset(
        name="synthroad_train",
        title="SynthRoad, training",
        paper="",
        licence="Apache-2.0, as the harness that draws it",
        address="drawn by the harness; no files are needed",
        kind="drawn",
        frames=400,
        metric_families=("classes",),
        public_images=True,
        for_training=True,
    ),
    Dataset(
        name="synthroad_val",
        title="SynthRoad, validation",
        paper="",
        licence="Apache-2.0, as the harness that draws it",
        address="drawn by the harness; no files are needed",
        kind="drawn",
        frames=50,
        metric_families=("classes",),
        public_images=True,
        for_training=True,
    ),
    Dataset(
        name="synthroad_outliers",
        title="SynthRoad, proxy outliers",
        paper="",
        licence="Apache-2.0, as the harness that draws it",
        address="drawn by the harness; no files are needed",
        kind="drawn",
        frames=100,
        public_images=True,
        for_training=True,
        notes=("Shapes and textures differ from the anomalies of the test split.",),
    ),
    Dataset(
        name="road_anomaly",
        title="RoadAnomaly (2019)",
        paper="https://arxiv.org/abs/1904.07595",
        licence="research use; photographs from the web, of unclear rights",
        address="https://datasets-cvlab.epfl.ch/2019-road-anomaly/RoadAnomaly_jpg.zip",
        size="24 MB",
        frames=60,
        id_rule=r"(?!image_)[A-Za-z].*_.+",  # animals01_Guiguinto_railway_station_Calves
        layouts=(
            Layout(
                title="official",
                folders=("RoadAnomaly_jpg", "RoadAnomaly/RoadAnomaly_jpg", "RoadAnomaly"),
                images=("frames/{id}",),
                labels=("frames/{id}.labels/labels_semantic",),
                values=ROAD_ANOMALY,
            ),
            Layout(
                title="MMSegmentation",
                folders=("road_anomaly",),
                images=("images/val/{id}", "images/{id}"),
                labels=("annotations/val/{id}", "annotations/{id}"),
                values=ROAD_ANOMALY_REPACKED,
                own_ids=True,
            ),
            Layout(
                title="original and labels",
                folders=("road_anomaly", "final_dataset/road_anomaly"),
                images=("original/{id}",),
                labels=("labels/{id}",),
                values=ROAD_ANOMALY_REPACKED,
                own_ids=True,
            ),
            Layout(
                title="flat",
                folders=("RoadAnomaly",),
                images=("images/{id}",),
                labels=("labels_masks/{id}",),
                values=ROAD_ANOMALY,
                own_ids=True,
            ),
        ),
        overlaps=(Overlap("smiyc_anomaly21_test", None, "RoadAnomaly21 grew out of RoadAnomaly"),),
        notes=(
            "Value 2 is the anomaly in the original files, 1 in repacked copies; nothing is void.",
        ),
        checksums=("RoadAnomaly_jpg.zip: md5 87a0908e5c72827824693913cf2e4fb0",),
    ),
    Dataset(
        name="smiyc_anomaly21_val",
        title="SegmentMeIfYouCan RoadAnomaly21, validation",
        paper=SMIYC_PAPER,
        licence=SMIYC_LICENCE,
        address="https://zenodo.org/records/5270237 (dataset_AnomalyTrack.zip)",
        metric_families=("pixel", "component"),
        frames=10,
        ids=tuple(f"validation{i:04}" for i in range(10)),
        beside=r"(?!validation).+\d{4}",
        layouts=(
            Layout(
                title="official",
                folders=ANOMALY_FOLDERS,
                images=("images/{id}",),
                labels=("labels_masks/{id}_labels_semantic",),
                values=BINARY,
            ),
            Layout(
                title="flat",
                folders=("RoadAnomaly21",),
                images=("images/{id}",),
                labels=("labels_masks/{id}",),
                values=BINARY,
                own_ids=True,
            ),
        ),
        notes=(
            "The official ranking uses the 100 hidden frames; numbers on these 10 are noisy.",
            "Label policy: the 19 Cityscapes classes are normal, unknown things in the background "
            "and gaps in anomalies are void.",
        ),
        checksums=("dataset_AnomalyTrack.zip: md5 231bf79ed58924bcd33d9cbe22e61076",),
        hub_repository=SMIYC_HUB,
    ),
    Dataset(
        name="smiyc_anomaly21_test",
        title="SegmentMeIfYouCan RoadAnomaly21, test",
        paper=SMIYC_PAPER,
        licence=SMIYC_LICENCE,
        address="https://zenodo.org/records/5270237 (dataset_AnomalyTrack.zip)",
        metric_families=("pixel", "component"),
        hidden_labels=True,
        frames=100,
        ids=ANOMALY21_TEST,
        beside=r"validation\d{4}",
        layouts=(Layout(title="official", folders=ANOMALY_FOLDERS, images=("images/{id}",)),),
        overlaps=(Overlap("road_anomaly", None, "RoadAnomaly21 grew out of RoadAnomaly"),),
        notes=("Numbers come from the organisers, after a submission to segmentmeifyoucan.com.",),
        checksums=("dataset_AnomalyTrack.zip: md5 231bf79ed58924bcd33d9cbe22e61076",),
        hub_repository=SMIYC_HUB,
    ),
    Dataset(
        name="smiyc_obstacle21_val",
        title="SegmentMeIfYouCan RoadObstacle21, validation",
        paper=SMIYC_PAPER,
        licence=SMIYC_LICENCE,
        address="https://zenodo.org/records/5281633 (dataset_ObstacleTrack.zip)",
        metric_families=("pixel", "component"),
        predicted_px=50,
        labelled_px=10,
        frames=30,
        # validation_1 to 18, 20, 30 to 40: the kit's loader leaves out 19 and 21 to 29
        ids=tuple(f"validation_{i}" for i in (*range(1, 19), 20, *range(30, 41))),
        beside=r"(?!validation_).+|validation_(19|2[1-9])",
        layouts=(
            Layout(
                title="official",
                folders=OBSTACLE_FOLDERS,
                images=("images/{id}",),
                labels=("labels_masks/{id}_labels_semantic",),
                values=BINARY,
            ),
            Layout(
                title="flat",
                folders=("RoadObsticle21", "RoadObstacle21"),
                images=("images/{id}",),
                labels=("labels_masks/{id}",),
                values=BINARY,
                own_ids=True,
            ),
        ),
        notes=(
            "Label policy: the drivable road is normal, whatever stands on it is an anomaly, and "
            "everything beside the road is void (69 % of the pixels).",
            "The ids were read off the kit's loader, which gives 30 frames with them.",
        ),
        checksums=("dataset_ObstacleTrack.zip: md5 895fb36d18765482cc291f69e63d6da6",),
        hub_repository=SMIYC_HUB,
    ),
    Dataset(
        name="smiyc_obstacle21_test",
        title="SegmentMeIfYouCan RoadObstacle21, test",
        paper=SMIYC_PAPER,
        licence=SMIYC_LICENCE,
        address="https://zenodo.org/records/5281633 (dataset_ObstacleTrack.zip)",
        metric_families=("pixel", "component"),
        predicted_px=50,
        labelled_px=10,
        scene=r"((?!validation)[^_]+)_.+",
        hidden_labels=True,
        frames=327,
        id_rule=OBSTACLE_TEST_SCENES,
        beside=r"(validation|snowstorm[12]|driveway)_.+",
        layouts=(Layout(title="official", folders=OBSTACLE_FOLDERS, images=("images/{id}",)),),
        notes=(
            "Snowstorm (55 frames) and night (30 frames, scene `driveway`) are sets of their own.",
            "Numbers come from the organisers, after a submission to segmentmeifyoucan.com.",
        ),
        checksums=("dataset_ObstacleTrack.zip: md5 895fb36d18765482cc291f69e63d6da6",),
        hub_repository=SMIYC_HUB,
    ),
    Dataset(
        name="fs_lostandfound_val",
        title="Fishyscapes Lost & Found, validation",
        paper=FISHYSCAPES_PAPER,
        predicted_px=50,
        labelled_px=10,
        scene=SEQUENCE,
        licence="labels: see fishyscapes.com; images: Lost and Found, non-commercial research only",
        address=(
            "http://robotics.ethz.ch/~asl-datasets/Fishyscapes/fishyscapes_lostandfound.zip "
            f"(labels) and the images of Lost and Found ({LOST_AND_FOUND_ADDRESS})"
        ),
        size="0.7 MB and 5.8 GB",
        frames=100,
        ids=FS_LOST_AND_FOUND_IDS,
        layouts=(
            Layout(
                title="official",
                folders=(
                    "fishyscapes_lostandfound",
                    "fishyscapes/fishyscapes_lostandfound",
                    "Fishyscapes/fishyscapes_lostandfound",
                ),
                labels=("{n}_{id}_labels",),
                values=BINARY,
                image_folders=(*LOST_AND_FOUND_FOLDERS, "fishyscapes", "Fishyscapes"),
                images=(
                    "leftImg8bit/train/*/{id}_leftImg8bit",
                    "leftImg8bit/test/*/{id}_leftImg8bit",
                    *_below("laf_images", FS_LOST_AND_FOUND_NAMES),
                ),
            ),
            Layout(
                title="SegmentMeIfYouCan kit",
                folders=("dataset_FishyLAF",),
                labels=("labels/val/{id}_fishy-labels",),
                values=BINARY,
                image_folders=LOST_AND_FOUND_FOLDERS,
                images=(
                    "leftImg8bit/train/*/{id}_leftImg8bit",
                    "leftImg8bit/test/*/{id}_leftImg8bit",
                ),
            ),
            Layout(
                title="MMSegmentation",
                folders=("fishyscapes/LostAndFound",),
                images=(
                    *_below("images/val", (*FS_LOST_AND_FOUND_NAMES, "{id}")),
                    *_below("images", (*FS_LOST_AND_FOUND_NAMES, "{id}")),
                ),
                labels=(
                    *_below("annotations/val", ("{n}_{id}_labels", "{id}_labels", "{id}")),
                    *_below("annotations", ("{n}_{id}_labels", "{id}_labels", "{id}")),
                ),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="original and labels",
                folders=(
                    "fs_LostAndFound",
                    "fs_lost_and_found",
                    "fishyscapes/LostAndFound",
                    "final_dataset/fs_lost_and_found",
                ),
                images=_below("original", (*FS_LOST_AND_FOUND_NAMES, "{id}")),
                labels=_below("labels", ("{n}_{id}_labels", "{id}_labels", "{n}_{id}", "{id}")),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="meta-ood",
                folders=("fishyscapes", "Fishyscapes"),
                images=("LostAndFound/{id}.jpg",),
                labels=("LostAndFound/{id}.png",),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="flat",
                folders=("FS_LostFound_full",),
                images=("images/{id}",),
                labels=("labels_masks/{id}",),
                values=BINARY,
                own_ids=True,
            ),
        ),
        overlaps=(
            Overlap("lost_and_found_test", 36, "all of 04_Maurener_Weg_8, with other labels"),
            Overlap("lost_and_found_test_noknown", 36, "all of 04_Maurener_Weg_8"),
        ),
        notes=(
            "One frame has no anomalous pixel.",
            "The other 64 frames belong to the training split of Lost and Found.",
            "Label policy: all objects outside the Cityscapes classes are anomalies, the rest of "
            "the scene is normal, not only the road.",
        ),
        checksums=("fishyscapes_lostandfound.zip: md5 0d3bf7c0ec38bd50b84f3d8aaa4b2e26",),
    ),
    Dataset(
        name="fs_static_val",
        title="Fishyscapes Static, validation",
        paper=FISHYSCAPES_PAPER,
        predicted_px=50,
        labelled_px=10,
        licence="overlays: see fishyscapes.com; images: Cityscapes, non-commercial research only",
        address=(
            "http://robotics.ethz.ch/~asl-datasets/Fishyscapes/fs_val_v3.zip (overlays and labels)"
            " and the validation images of Cityscapes (https://www.cityscapes-dataset.com)"
        ),
        frames=30,
        id_rule=r"\d{4}_(frankfurt|lindau|munster)_\d{6}_\d{6}",
        layouts=(
            Layout(
                title="official overlays on Cityscapes",
                folders=(
                    *("fs_val_v3", "fishyscapes-3.0.0", "fishyscapes_static", "fs_static"),
                    *("fishyscapes/Static",),
                ),
                overlays=("{id}_rgb",),
                labels=("{id}_labels",),
                values=BINARY,
                image_folders=CITYSCAPES_FOLDERS,
                images=(
                    "leftImg8bit/val/*/{id}_leftImg8bit",
                    "leftImg8bit_trainvaltest/leftImg8bit/val/*/{id}_leftImg8bit",
                ),
            ),
            Layout(
                title="MMSegmentation",
                folders=("fishyscapes/Static",),
                images=(
                    *_below("images/val", FS_STATIC_NAMES),
                    *_below("images", FS_STATIC_NAMES),
                ),
                labels=(
                    *_below("annotations/val", ("{id}_labels", "{id}")),
                    *_below("annotations", ("{id}_labels", "{id}")),
                ),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="original and labels",
                folders=("fs_static", "fishyscapes/Static", "final_dataset/fs_static"),
                images=_below("original", FS_STATIC_NAMES),
                labels=_below("labels", ("{id}_labels", "{id}")),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="meta-ood",
                folders=("fishyscapes", "Fishyscapes"),
                images=("Static/{id}.jpg",),
                labels=("Static/{id}.png",),
                values=BINARY,
                own_ids=True,
            ),
            Layout(
                title="flat",
                folders=("fs_static",),
                images=("images/{id}",),
                labels=("labels_masks/{id}",),
                values=BINARY,
                own_ids=True,
            ),
        ),
        overlaps=(Overlap("cityscapes_val", 30, "drawn over its images"),),
        notes=(
            "Three versions share the file names: v1 is not blended, v2 is blended better, v3 adds "
            "objects of Cityscapes as negatives, so many frames have no anomaly. This entry is "
            "v3; only the fingerprint tells copies apart, and papers often do not say which.",
            "Loaders that read the label off the overlay differ from the official labels at "
            "blended borders.",
        ),
        checksums=(
            "fs_val_v3.zip: md5 0dc11db9e57088c5bb18de4c55a53f3a",
            "fs_val_v2.zip: md5 5088c63497927200d935c41d54b1cb23",
            "fs_val_v1.zip: md5 79fb134419c83f2f20b575955efa9d20",
        ),
    ),
    Dataset(
        name="lost_and_found_test",
        title="Lost and Found, test",
        paper="https://arxiv.org/abs/1609.04653",
        licence=LOST_AND_FOUND_LICENCE,
        address=f"{LOST_AND_FOUND_ADDRESS} (leftImg8bit.zip and gtCoarse.zip)",
        size="5.8 GB and 38 MB",
        metric_families=("pixel", "component"),
        predicted_px=50,
        labelled_px=10,
        scene=SEQUENCE,
        frames=1186,
        id_rule=LOST_AND_FOUND_RULE,
        excluded=LOST_AND_FOUND_INVALID,
        beside=CITYSCAPES_RULE,
        layouts=(LOST_AND_FOUND_OFFICIAL,),
        overlaps=(
            Overlap("fs_lostandfound_val", 36, "all of 04_Maurener_Weg_8, with other labels"),
            Overlap("lost_and_found_test_noknown", 1043, "a part of this set"),
        ),
        notes=LOST_AND_FOUND_NOTES,
        checksums=("leftImg8bit.zip: md5 08eaa79ce05126f6bd22a3ca563746d0",),
        hub_repository="kumuji/lost_and_found",
    ),
    Dataset(
        name="lost_and_found_test_noknown",
        title="Lost and Found, test without known objects",
        paper=SMIYC_PAPER,
        licence=LOST_AND_FOUND_LICENCE,
        address=f"{LOST_AND_FOUND_ADDRESS} (leftImg8bit.zip and gtCoarse.zip)",
        size="5.8 GB and 38 MB",
        metric_families=("pixel", "component"),
        predicted_px=50,
        labelled_px=10,
        scene=SEQUENCE,
        frames=1043,
        id_rule=r"(?!15_Rechbergstr_Deckenpfronn)\d\d_.+_\d{6}_\d{6}",
        excluded=LOST_AND_FOUND_INVALID,
        beside=rf"15_Rechbergstr_Deckenpfronn_\d{{6}}_\d{{6}}|{CITYSCAPES_RULE}",
        layouts=(LOST_AND_FOUND_OFFICIAL,),
        overlaps=(
            Overlap("fs_lostandfound_val", 36, "all of 04_Maurener_Weg_8, with other labels"),
            Overlap("lost_and_found_test", 1043, "all of it"),
        ),
        notes=(
            *LOST_AND_FOUND_NOTES,
            "The 143 frames of 15_Rechbergstr_Deckenpfronn are left out: they show children and "
            "bicycles, which are known classes.",
        ),
        checksums=("leftImg8bit.zip: md5 08eaa79ce05126f6bd22a3ca563746d0",),
        hub_repository="kumuji/lost_and_found",
    ),
    Dataset(
        name="cityscapes_train",
        title="Cityscapes, training",
        paper="https://arxiv.org/abs/1604.01685",
        licence=CITYSCAPES_LICENCE,
        address=(
            "https://www.cityscapes-dataset.com "
            "(leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, after registration)"
        ),
        metric_families=("classes",),
        for_training=True,
        frames=2975,
        id_rule=CITYSCAPES_RULE,
        beside=LOST_AND_FOUND_RULE,
        layouts=_cityscapes("train"),
    ),
    Dataset(
        name="cityscapes_val",
        title="Cityscapes, validation",
        paper="https://arxiv.org/abs/1604.01685",
        licence=CITYSCAPES_LICENCE,
        address=(
            "https://www.cityscapes-dataset.com "
            "(leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, after registration)"
        ),
        metric_families=("classes",),
        frames=500,
        id_rule=CITYSCAPES_RULE,
        beside=LOST_AND_FOUND_RULE,
        layouts=_cityscapes("val"),
        overlaps=(Overlap("fs_static_val", 30, "which is drawn over these images"),),
    ),
    Dataset(
        name="custom",
        title="A folder of your own",
        paper="",
        licence="yours to know",
        address="your own images",
        kind="custom",
        id_rule=r".+",
        layouts=(
            Layout(
                title="custom",
                folders=("",),
                images=("images/{id}",),
                labels=("labels/{id}",),
                values=BINARY,
            ),
        ),
        notes=("Give the folder itself as the data root; harness/data/README.md says how.",),
    ),
)

DATASETS = {entry.name: entry for entry in _ALL}
"""Every entry by its name, in the order in which they are listed."""
