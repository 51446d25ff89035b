"""The looks: name -> the function that makes one, and what it shows. A look's file is imported when it is asked for.

Each is `function(subject, pictures, *, ...settings) -> Sight`; its keyword arguments, with their types and defaults, are what
`--set name=value` may change. `pictures` is empty where a look needs none. In the order in which a user would want them; that of
`docs/look.md`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    function: str  # module of gradus.look.inside : function
    shows: str
    pictures: bool = True  # whether it needs pictures, or texts
    takes: tuple[str, ...] = ("pictures",)  # what the networks that it looks into are for: pictures, tables, texts
    rows: bool = False  # whether it needs labelled rows: a run's, or those of --data
    any_network: bool = False  # whether any network will do: one's own, not for pictures, without weights


TEXTS = ("texts",)  # and series
MADE = ("pictures that it makes",)  # generative networks

LOOKS: dict[str, Look] = {
    # what it is
    "structure": Look(
        "structure:structure", "layers, sizes, costs, and a drawing of any network", pictures=False, any_network=True
    ),
    "filters": Look(
        "filters:filters",
        "the weights of a convolution, or of a machine's hidden units, as pictures",
        pictures=False,
        takes=("pictures", *MADE),
    ),
    # what it holds and wants
    "activations": Look(
        "activations:activations", "the outputs of every layer: grids of maps, and how sparse they are"
    ),
    "wants": Look("wants:wants", "pictures that each filter answers to most, found by gradient ascent", pictures=False),
    "class-wants": Look("class_wants:class_wants", "pictures that the network answers as a class", pictures=False),
    # why it said that
    "grad-cam": Look("why:grad_cam", "where a layer's maps speak for a class"),
    "cam": Look("why:cam", "the map whose mean is a class's score (after global average pooling)"),
    "saliency": Look("why:saliency", "the pixels that a class's score hangs on: gradient, SmoothGrad, guided"),
    "integrated-gradients": Look("why:integrated_gradients", "what each pixel adds to a class's score"),
    "occlusion": Look("why:occlusion", "how far a class falls when a patch of the picture is hidden"),
    "compare": Look("faithful:compare", "all of these maps on one picture, measured against each other"),
    "pointing": Look(
        "pointing:pointing", "how often a map's strongest place lies on the object (boxes of yours)", pictures=False
    ),
    # what turns its answer
    "adversarial": Look("attacks:adversarial", "the smallest change of a picture that turns the answer"),
    "robustness": Look(
        "attacks:robustness", "accuracy when every picture is changed a little", pictures=False, rows=True
    ),
    # how it sees its data
    "mistakes": Look("mistakes:mistakes", "the wrong answers it was surest of", pictures=False, rows=True),
    "embeddings": Look(
        "embeddings:embeddings",
        "a map of pictures by what the network holds of them, to zoom in",
        pictures=False,
        rows=True,
    ),
    "separability": Look(
        "separability:separability",
        "how well the classes can be told apart after each stage",
        pictures=False,
        rows=True,
    ),
    "lesion": Look("lesion:lesion", "what it loses without blocks, layers or channels", pictures=False, rows=True),
    "boundary": Look(
        "boundary:boundary",
        "where a network for tables changes its answer, over two columns",
        pictures=False,
        takes=("tables",),
    ),
    # how it reads texts and series
    "why": Look(
        "why_words:why", "the words that spoke for a class, coloured, and whether to believe that", takes=TEXTS
    ),
    "attention": Look("attending:attention", "where a network that weighs its steps looked", takes=TEXTS),
    "units": Look("units:units", "hidden units over a text, and what they follow", pictures=False, takes=TEXTS),
    "gates": Look("gates:gates", "the gates of an LSTM or GRU over a text: what is kept and dropped", takes=TEXTS),
    "memory": Look("memory:memory", "how many steps back an answer hears", pictures=False, takes=TEXTS),
    # machines with an energy
    "fantasies": Look(
        "energy:fantasies", "chains of a Boltzmann machine on their way from noise", pictures=False, takes=MADE
    ),
    "damaged": Look("energy:damaged", "what a machine puts where pictures are hidden", pictures=False, takes=MADE),
    "free-energy": Look(
        "energy:free_energies",
        "what a machine finds likely, and whether it overfits",
        pictures=False,
        takes=MADE,
        rows=True,
    ),
    "likelihood": Look(
        "likelihood:likelihood",
        "how likely pictures are to a machine, in nats",
        pictures=False,
        takes=MADE,
        rows=True,
    ),
    # pictures made with it
    "style": Look("style:style", "the first picture in the style of the others (Gatys)"),
    "texture": Look("texture:texture", "a new picture of a texture's kind, of any size"),
    "dream": Look("dream:dream", "a picture changed so that layers see more in it (DeepDream)"),
}

# Looks at word vectors: `function(subject, words, *, ...settings) -> Sight`
WORD_LOOKS: dict[str, Look] = {
    "neighbours": Look("meaning:neighbours", "the words nearest to each word"),
    "analogies": Look("meaning:analogies", "a is to b as c is to ?; without words, how many of a list are right"),
    "similarity": Look("meaning:similarity", "how alike words are: the cosine of each pair"),
    "word-map": Look("word_map:word_map", "words as points, coloured by the class that they lean to"),
    "bias": Look("word_bias:bias", "how far words lean along a direction such as she - he, and with it taken out"),
}

# Looks at how a language model writes: `function(writer, prompts, *, ...settings) -> Sight`
WRITING_LOOKS: dict[str, Look] = {
    "temperature": Look(
        "temperature:temperature", "the next token's distribution at several temperatures, and its entropy"
    ),
    "samples": Look("temperature:samples", "what a language model writes at several temperatures, side by side"),
}

# Looks at networks that make pictures: `function(maker, pictures, *, ...settings) -> Sight`
MAKING_LOOKS: dict[str, Look] = {
    "reconstructions": Look(
        "reconstructions:reconstructions", "what an autoencoder makes of pictures, beside principal components"
    ),
    "latent-grid": Look("latent_grid:latent_grid", "pictures made on a grid of two latent numbers", pictures=False),
    "latent-map": Look("latent_grid:latent_map", "where rows lie among the latents, by class", pictures=False),
    "walk": Look("latent_walk:walk", "a way from picture to picture, class to class or draw to draw; a GIF too"),
    "arithmetic": Look("latent_walk:arithmetic", "an attribute added and taken away, and how far that holds"),
    "inpaint": Look("inpaint:inpaint", "what a network puts where pictures are damaged", pictures=False),
    "bound": Look("reconstructions:bound", "the importance-weighted bound of a variational one", pictures=False),
}

# Looks at the worlds that a network acts in: `function(subject, inputs, *, ...settings) -> Sight`
WORLD_LOOKS: dict[str, Look] = {
    "values": Look(
        "values:values", "what the places of a world are worth, the best actions there, and an episode", pictures=False
    ),
}
