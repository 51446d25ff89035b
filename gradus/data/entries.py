"""The entries of the catalogue: what each data set is, which columns and splits it has, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradus.data.columns import Boxes, ColumnType, Image, Label, Mask, Number, Tags, Text, Time


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One data set of the catalogue.

    types:   column name -> type
    splits:  split name -> rows of the published data
    sklearn: name of scikit-learn's loader, for what it ships
    packaged: it comes with Gradus (`packaged.py`)
    hub:     repository on the Hugging Face Hub, for what is downloaded
    renamed: name of a column in the Hub's files -> its name here
    shuffle: seed and number of training rows of the split that the texts use, for what is stored as one split: rows in the
             order of NumPy's RandomState(seed), the first ones to train on and the rest to test on
    """

    name: str
    about: str
    target: str
    types: dict[str, ColumnType]
    splits: dict[str, int]
    sklearn: str | None = None
    packaged: bool = False
    hub: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    shuffle: tuple[int, int] | None = None
    derived: tuple[str, str] | None = None  # the entry that it is made from, and the rule of `derived.py`
    ordered: bool = False  # rows follow each other in time or in a text
    folder: str = ""  # that the files lie in, where it is not called as the entry is
    files: dict[str, str] = field(default_factory=dict)  # split -> its file, where it is not called SPLIT.parquet; of a
    # text file (.txt) the lines are the rows


def numbers(*names: str) -> dict[str, ColumnType]:
    """Columns of numbers."""
    return {name: Number() for name in names}


DIGITS = Label(classes=tuple("0123456789"))
CLOTHES = Label(
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
)
OBJECTS = Label(
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
STREETS = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence"),
    *("car", "pedestrian", "bicyclist"),
)
CELLS = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)

TOPICS = (
    *("ai", "botprofile", "coding", "computers", "conversations", "emotion", "food", "gossip", "greetings", "health"),
    *("history", "humor", "literature", "money", "movies", "politics", "psychology", "science", "sports"),
    *("tech_support", "trivia"),
)

ENTRIES = (
    Entry(
        name="digits",
        about="Handwritten digits, 8x8 grey pictures: the test part of UCI's Optical Recognition of Handwritten Digits "
        "(CC BY 4.0). Its 17 grey levels are stretched to 0..255.",
        target="label",
        types={"image": Image(channels=1), "label": DIGITS},
        splits={"train": 1797},
        sklearn="load_digits",
    ),
    Entry(
        name="breast_cancer",
        about="Breast tumours, malignant or benign, by 30 measures of cell nuclei: UCI's Breast Cancer Wisconsin "
        "(Diagnostic) (CC BY 4.0). A textbook set, not fit for diagnosis.",
        target="diagnosis",
        types=numbers(
            *(f"mean {cell}" for cell in CELLS),
            *(f"{cell} error" for cell in CELLS),
            *(f"worst {cell}" for cell in CELLS),
        )
        | {"diagnosis": Label(classes=("malignant", "benign"))},
        splits={"train": 569},
        sklearn="load_breast_cancer",
    ),
    Entry(
        name="wine",
        about="Wines of three cultivars of one Italian region, by 13 chemical measures: UCI's Wine (CC BY 4.0).",
        target="cultivar",
        types=numbers(
            *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
            *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
            *("od280/od315_of_diluted_wines", "proline"),
        )
        | {"cultivar": Label(classes=("class_0", "class_1", "class_2"))},
        splits={"train": 178},
        sklearn="load_wine",
    ),
    Entry(
        name="iris",
        about="Fisher's irises of 1936: three species by four lengths in cm (CC BY 4.0). UCI's copy has two wrong "
        "rows, this one has not.",
        target="species",
        types=numbers("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
        | {"species": Label(classes=("setosa", "versicolor", "virginica"))},
        splits={"train": 150},
        sklearn="load_iris",
    ),
    Entry(
        name="diabetes",
        about="Progression of diabetes one year on, by age, sex, body mass index, blood pressure and six serum "
        "measures, in their own units (Efron et al. 2004; no licence stated). Small, and not fit for diagnosis.",
        target="progression",
        types=numbers("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression"),
        splits={"train": 442},
        sklearn="load_diabetes",
    ),
    Entry(
        name="mnist",
        about="Handwritten digits, 28x28 grey pictures (LeCun, Cortes and Burges 1998; the Hub's card says MIT).",
        target="label",
        types={"image": Image(channels=1), "label": DIGITS},
        splits={"train": 60_000, "test": 10_000},
        hub="ylecun/mnist",
    ),
    Entry(
        name="fashion_mnist",
        about="Zalando's articles of clothing, 28x28 grey pictures in the form of MNIST (Xiao et al. 2017; MIT).",
        target="label",
        types={"image": Image(channels=1), "label": CLOTHES},
        splits={"train": 60_000, "test": 10_000},
        hub="zalando-datasets/fashion_mnist",
    ),
    Entry(
        name="cifar10",
        about="Objects and animals, 32x32 colour pictures (Krizhevsky 2009; no licence stated). About 3 % of the test "
        "pictures have near-twins in the training set. The collection they come from was withdrawn for offensive "
        "labels.",
        target="label",
        types={"image": Image(), "label": OBJECTS},
        splits={"train": 50_000, "test": 10_000},
        hub="uoft-cs/cifar10",
        renamed={"img": "image"},
    ),
    Entry(
        name="cats_vs_dogs",
        about="Photographs of cats and dogs of many sizes: Microsoft's part of the Asirra set, known from Kaggle's "
        "Dogs vs. Cats (no licence stated).",
        target="label",
        types={"image": Image(), "label": Label(classes=("cat", "dog"))},
        splits={"train": 23_410},
        hub="microsoft/cats_vs_dogs",
        renamed={"labels": "label"},
    ),
    Entry(
        name="boston_housing",
        about="Median house prices (in 1 000 dollars) of 506 tracts around Boston in 1970, by 13 measures (Harrison and "
        "Rubinfeld 1978). Its column B is derived from the share of Black residents on a racist premise, and scikit-learn "
        "and others have withdrawn the set: use it to reproduce the texts only (diabetes is the default for regression).",
        target="MEDV",
        types=numbers(
            *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE", "DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT", "MEDV")
        ),
        splits={"train": 404, "test": 102},
        shuffle=(113, 404),
    ),
    Entry(
        name="bccd",
        about="Blood under the microscope, 640x480 pictures with boxes around platelets, red and white cells (BCCD, MIT). "
        "Two boxes have no area, and many touch the border.",
        target="objects",
        types={"image": Image(), "objects": Boxes(classes=("Platelets", "RBC", "WBC"))},
        splits={"train": 205, "validation": 87, "test": 72},
    ),
    Entry(
        name="camvid",
        about="Streets from a driving car, 480x360 pictures with the class of every pixel: the 11 classes of the SegNet "
        "tutorial (Brostow et al. 2009; Badrinarayanan et al. 2015).",
        target="mask",
        types={"image": Image(), "mask": Mask(classes=STREETS, ignore=11)},
        splits={"train": 367, "validation": 101, "test": 233},
    ),
    Entry(
        name="imdb",
        about="Film reviews, half of them good and half bad (Large Movie Review Dataset, Maas et al. 2011). Their authors' "
        "words, also coarse ones.",
        target="label",
        types={"text": Text(), "label": Label(classes=("negative", "positive"))},
        splits={"train": 25_000, "test": 25_000},
        hub="stanfordnlp/imdb",
    ),
    Entry(
        name="tinyshakespeare",
        about="40 000 lines of Shakespeare's plays, as Karpathy's char-rnn has them (public domain).",
        target="text",
        types={"text": Text()},
        splits={"train": 40_000},
        ordered=True,
        files={"train": "input.txt"},
    ),
    Entry(
        name="nietzsche",
        about="Nietzsche's writings in English, as Keras's examples have them (public domain).",
        target="text",
        types={"text": Text()},
        splits={"train": 9_935},
        ordered=True,
        files={"train": "input.txt"},
    ),
    Entry(
        name="dinosaurs",
        about="Genera of dinosaurs, to have new ones written: each name a text of its own.",
        target="name",
        types={"name": Text()},
        splits={"train": 305},
        packaged=True,
    ),
    Entry(
        name="gradus_code",
        about="The Python files of Gradus itself, one after the other: how many lines depends on the version.",
        target="text",
        types={"text": Text()},
        splits={"train": 0},
        ordered=True,
        packaged=True,
    ),
    Entry(
        name="ptb",
        about="The Penn Treebank's Wall Street Journal in lower case with 10 000 kinds of words, as Mikolov cut it: "
        "ptb.train.txt, ptb.valid.txt and ptb.test.txt. Its licence forbids passing it on: bring your own.",
        target="text",
        types={"text": Text()},
        splits={"train": 42_068, "validation": 3_370, "test": 3_761},
        ordered=True,
        files={"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"},
    ),
    Entry(
        name="babi_qa1",
        about="Where is John? Stories of who went where, and questions that one sentence of them answers: task 1 of bAbI "
        "(Weston et al. 2015; CC BY 3.0).",
        target="answer",
        types={
            "story": Text(),
            "question": Text(),
            "answer": Label(classes=("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")),
        },
        splits={"train": 10_000, "test": 1_000},
    ),
    Entry(
        name="dialogues_english",
        about="Small talk and questions with their replies, by topic, in English (ChatterBot corpus, BSD). Half of it is "
        "technical support; 16 replies are empty.",
        target="topic",
        types={"prompt": Text(), "reply": Text(), "topic": Label(classes=TOPICS)},
        splits={"train": 2_393},
        folder="dialogues",
        files={"train": "english.parquet"},
    ),
    Entry(
        name="dialogue_pairs",
        about="Prompts with a reply that was given to them, and with one that was given to another prompt (half each); made from "
        "dialogues_english. No prompt is in two splits.",
        target="belongs",
        types={"prompt": Text(), "reply": Text(), "belongs": Label(classes=("another's", "its own"))},
        splits={"train": 3_752, "validation": 276, "test": 694},
        derived=("dialogues_english", "replies"),
    ),
    Entry(
        name="imdb_capitals",
        about="Film reviews in lower case and without punctuation, 60 words each: which words began with a capital? Made from "
        "imdb; nobody labelled it.",
        target="tags",
        types={"text": Text(), "tags": Tags(classes=("lower", "capital"))},
        splits={"train": 25_000, "test": 25_000},
        derived=("imdb", "capitals"),
    ),
    Entry(
        name="imdb_outputs",
        about="Film reviews with three columns to learn: good or bad (imdb's own), how many words, and whether the reviewer says "
        "I (both counted).",
        target="words,label,speaker",
        types={
            "text": Text(),
            "words": Number(),
            "label": Label(classes=("negative", "positive")),
            "speaker": Label(classes=("nobody", "I")),
        },
        splits={"train": 25_000, "test": 25_000},
        derived=("imdb", "review_outputs"),
    ),
    Entry(
        name="dialogues_chinese",
        about="Small talk and questions with their replies, by topic, in Chinese (ChatterBot corpus, BSD).",
        target="topic",
        types={
            "prompt": Text(),
            "reply": Text(),
            "topic": Label(
                classes=tuple(name for name in TOPICS if name not in ("coding", "computers", "health", "tech_support"))
            ),
        },
        splits={"train": 552},
        folder="dialogues",
        files={"train": "chinese.parquet"},
    ),
    Entry(
        name="beijing_weather",
        about="Hourly weather and PM2.5 at Beijing, 2010 to 2014 (Liang et al. 2015, UCI, CC BY 4.0). pm25 has gaps.",
        target="temperature",
        types={
            "time": Time(),
            **numbers("temperature", "dew_point", "pressure"),
            "wind_direction": Label(classes=("NE", "NW", "SE", "cv")),
            **numbers("wind_speed", "snow_hours", "rain_hours", "pm25"),
        },
        splits={"train": 43_824},
        ordered=True,
    ),
)
