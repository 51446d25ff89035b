"""Networks, one a file, made by name.

`MODELS` is a literal table, and a network's file is imported when it is first asked for. All networks are plain
`torch.nn.Module`s and share a few argument names: `num_classes` (outputs: classes, or numbers to predict), and `in_channels` and
`image_size` (side in pixels, where the layers depend on it) for pictures or `in_features` for vectors. A class that takes
certain sizes only lists them in `image_sizes`, the usual one first; one that needs room for its layers says
`smallest_image_size`; one that its authors trained on another size than its data's says `usual_image_size`. One with
layers that are made from the training inputs and not learnt has `fit_inputs(inputs)`, called before training. Networks for
pictures are chains of stages (`stages.py`).
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradus.errors import UserError, did_you_mean, unknown_name

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, tuple[str, str]] = {
    # name: (module:class, what it is)
    "logistic_regression": ("logistic_regression:LogisticRegression", "one linear layer: vectors or pictures"),
    "mlp": ("mlp:MultilayerPerceptron", "fully connected layers of any widths: vectors or pictures"),
    "neocognitron": (
        "vision.neocognitron:Neocognitron",
        "Fukushima 1980: S- and C-cells in turn, learnt without labels by winner-take-all; a linear layer on them",
    ),
    "lenet5": ("vision.lenet5:LeNet5", "LeCun 1998, today's form: ReLU, max pooling; grey 28x28 or 32x32"),
    "lenet5_1998": (
        "vision.lenet5:LeNet5Of1998",
        "LeCun 1998, as printed: scaled tanh, trainable subsampling, sparse C3",
    ),
    "lenet5_dropout": (
        "vision.lenet5:LeNet5Dropout",
        "the wider LeNet-5 with dropout of Principles and Practice, listing 4-5",
    ),
    "lenet_caffe": ("vision.lenet5:LeNetCaffe", "Caffe's LeNet: 20 and 50 maps, no activation after the convolutions"),
    "alexnet": ("vision.alexnet:AlexNet", "AlexNet as torchvision has it (Krizhevsky 2014)"),
    "alexnet_2012": (
        "vision.alexnet:AlexNetOf2012",
        "Krizhevsky 2012, as printed: two groups, local response normalisation",
    ),
    "caffenet": ("vision.alexnet:CaffeNet", "AlexNet as Caffe has it: pooling before normalisation"),
    "zfnet": ("vision.zfnet:ZFNet", "Zeiler and Fergus 2013: AlexNet with a finer first layer"),
    "nin": ("vision.nin:NetworkInNetwork", "Network in Network, Lin 2013: for CIFAR's 32x32"),
    "vgg11": ("vision.vgg:VGG11", "Simonyan and Zisserman 2014: five blocks of 3x3 convolutions, 11 layers"),
    "vgg13": ("vision.vgg:VGG13", "the same with 13 layers"),
    "vgg16": ("vision.vgg:VGG16", "the same with 16 layers"),
    "vgg19": ("vision.vgg:VGG19", "the same with 19 layers, the usual one for style transfer"),
    "vgg11_bn": ("vision.vgg:VGG11WithNorm", "VGG-11 with batch normalisation"),
    "vgg13_bn": ("vision.vgg:VGG13WithNorm", "VGG-13 with batch normalisation"),
    "vgg16_bn": ("vision.vgg:VGG16WithNorm", "VGG-16 with batch normalisation"),
    "vgg19_bn": ("vision.vgg:VGG19WithNorm", "VGG-19 with batch normalisation"),
    "googlenet_2014": (
        "vision.googlenet:GoogLeNetOf2014",
        "Szegedy 2014, as printed: Inception modules, auxiliary heads, local response normalisation",
    ),
    "googlenet": ("vision.googlenet:GoogLeNet", "GoogLeNet as torchvision has it, with batch normalisation"),
    "inception_v3": ("vision.inception_v3:InceptionV3", "Szegedy 2015: factorised convolutions, an auxiliary head"),
    "xception": ("vision.xception:Xception", "Chollet 2017: depthwise separable convolutions with shortcuts"),
    "squeezenet1_0": (
        "vision.squeezenet:SqueezeNet1_0",
        "Iandola 2016: AlexNet's accuracy with 50 times fewer parameters",
    ),
    "squeezenet1_1": ("vision.squeezenet:SqueezeNet1_1", "the same with 2.4 times fewer multiplications"),
    "window_convnet": (
        "vision.window_convnet:WindowConvnet",
        "the course notes' classifier of 14x14 windows (§4.3.4), which can be applied as a convolution",
    ),
    "convnet": ("vision.convnet:Convnet", "from a pattern: --set model.options.pattern='[CONV->POOL]x2->FC'"),
    "mnist_convnet": ("vision.mnist_convnet:MnistConvnet", "three 3x3 convolutions (Deep Learning with Python §5.1)"),
    "cats_dogs_convnet": (
        "vision.cats_dogs_convnet:CatsDogsConvnet",
        "four convolutions for 150x150 (Deep Learning with Python §5.2)",
    ),
    "separable_convnet": (
        "vision.separable_convnet:SeparableConvnet",
        "six separable convolutions for 64x64 (Deep Learning with Python §7.3.1)",
    ),
    "cifar10_tutorial": (
        "vision.cifar10_tutorial:Cifar10Tutorial",
        "TensorFlow's tutorial net for 24x24 (Plain Talk §6.9)",
    ),
    "fast_cifar": ("vision.fast_cifar:FastCifar", "Jordan 2024: whitened inputs, few large convolutions; few epochs"),
    "mobilenet_v1": ("vision.mobilenet_v1:MobileNetV1", "Howard 2017: depthwise separable convolutions"),
    "mobilenet_v2": ("vision.mobilenet_v2:MobileNetV2", "Sandler 2018: inverted residuals, linear bottlenecks"),
    "resnet18": ("vision.resnet:ResNet18", "He 2015: 18 layers, shortcuts over two 3x3 convolutions"),
    "resnet34": ("vision.resnet:ResNet34", "He 2015: 34 layers"),
    "resnet50": ("vision.resnet:ResNet50", "He 2015: 50 layers, bottlenecks"),
    "resnet101": ("vision.resnet:ResNet101", "He 2015: 101 layers, bottlenecks"),
    "resnet152": ("vision.resnet:ResNet152", "He 2015: 152 layers, bottlenecks"),
    "wide_resnet50_2": ("vision.resnet:WideResNet50", "Zagoruyko 2016: resnet50 with 3x3 layers twice as wide"),
    "plain18": ("vision.resnet:Plain18", "He 2015: resnet18 without shortcuts"),
    "plain34": ("vision.resnet:Plain34", "He 2015: resnet34 without shortcuts"),
    "cifar_resnet": ("vision.cifar_resnet:CifarResNet", "He 2015, for CIFAR: any depth, kind and length of shortcuts"),
    "resnet20": ("vision.cifar_resnet:ResNet20", "He 2015, for CIFAR: 20 layers"),
    "resnet32": ("vision.cifar_resnet:ResNet32", "He 2015, for CIFAR: 32 layers"),
    "resnet44": ("vision.cifar_resnet:ResNet44", "He 2015, for CIFAR: 44 layers"),
    "resnet56": ("vision.cifar_resnet:ResNet56", "He 2015, for CIFAR: 56 layers"),
    "resnet110": ("vision.cifar_resnet:ResNet110", "He 2015, for CIFAR: 110 layers"),
    "plain20": ("vision.cifar_resnet:Plain20", "resnet20 without shortcuts"),
    "plain32": ("vision.cifar_resnet:Plain32", "resnet32 without shortcuts"),
    "plain44": ("vision.cifar_resnet:Plain44", "resnet44 without shortcuts"),
    "plain56": ("vision.cifar_resnet:Plain56", "resnet56 without shortcuts"),
    "plain110": ("vision.cifar_resnet:Plain110", "resnet110 without shortcuts"),
    "preact_resnet": ("vision.preact_resnet:PreActivationResNet", "He 2016, for CIFAR: norm and ReLU first, any depth"),
    "preact_resnet110": ("vision.preact_resnet:PreActivationResNet110", "He 2016, for CIFAR: 110 layers"),
    "preact_resnet164": ("vision.preact_resnet:PreActivationResNet164", "He 2016, for CIFAR: 164 layers, bottlenecks"),
    "preact_resnet1001": (
        "vision.preact_resnet:PreActivationResNet1001",
        "He 2016, for CIFAR: 1001 layers, bottlenecks",
    ),
    "wide_resnet": ("vision.wide_resnet:WideResNet", "Zagoruyko 2016, for CIFAR: any depth and width"),
    "wrn16_4": ("vision.wide_resnet:WideResNet16x4", "Zagoruyko 2016, for CIFAR: 16 layers, 4 times as wide"),
    "wrn16_8": ("vision.wide_resnet:WideResNet16x8", "Zagoruyko 2016, for CIFAR: 16 layers, 8 times as wide"),
    "wrn28_10": ("vision.wide_resnet:WideResNet28x10", "Zagoruyko 2016, for CIFAR: 28 layers, 10 times as wide"),
    "wrn40_4": ("vision.wide_resnet:WideResNet40x4", "Zagoruyko 2016, for CIFAR: 40 layers, 4 times as wide"),
    "resnet_in_resnet": (
        "vision.resnet_in_resnet:ResNetInResNet",
        "Targ 2016, for CIFAR: a residual and a transient stream",
    ),
    "merge_and_run": ("vision.merge_and_run:MergeAndRun", "Zhao 2016, for CIFAR: two branches that share their mean"),
    "highway_convnet": ("vision.highway_convnet:HighwayConvnet", "Srivastava 2015: gates instead of sums, no norms"),
    "fractalnet": ("vision.fractalnet:FractalNet", "Larsson 2016, for CIFAR: deep without shortcuts, drop-path"),
    "densenet121": ("vision.densenet:DenseNet121", "Huang 2016: every layer reads all before it in its block"),
    "cifar_densenet": ("vision.densenet:CifarDenseNet", "Huang 2016, for CIFAR: any depth and growth"),
    "densenet_bc_100_12": (
        "vision.densenet:DenseNetBC100",
        "Huang 2016, for CIFAR: 100 layers, growth 12, bottlenecks",
    ),
    "localizer": (
        "vision.localizer:Localizer",
        "a backbone and dense layers that know where on the map things are: places of one object or landmarks",
    ),
    "sliding_window": (
        "detection.sliding_window:SlidingWindow",
        "windows of several sizes, each classified: a crop classifier applied as a convolution",
    ),
    "fcn32s": ("segmentation.fcn:FCN32s", "Long 2015: a classifier made convolutional, its map enlarged 32 times"),
    "fcn16s": ("segmentation.fcn:FCN16s", "the same with the scores of a finer map added"),
    "fcn8s": ("segmentation.fcn:FCN8s", "the same with those of two finer maps"),
    "segnet": ("segmentation.segnet:SegNet", "Badrinarayanan 2015: VGG16 and its mirror image, unpooling by indices"),
    "deeplab": ("segmentation.deeplab:DeepLab", "Chen 2016: atrous convolutions and a pyramid of them"),
    "grid_detector": ("detection.grid_detector:GridDetector", "a one-stage detector on grids of anchors"),
    "yolo_v1": ("detection.yolo_v1:YoloV1", "Redmon 2016: each cell of a grid tells the object whose centre it holds"),
    "ssd": ("detection.ssd:Ssd", "Liu 2016: prior boxes on maps of falling size; any backbone and picture size"),
    "ssd300": ("detection.ssd_vgg:Ssd300", "Liu 2016, as printed: VGG-16, pictures of 300x300, 8732 priors"),
    "ssd512": ("detection.ssd_vgg:Ssd512", "the same for 512x512, 24564 priors"),
    "faster_rcnn": (
        "detection.faster_rcnn:FasterRCNN",
        "Ren 2015: a network proposes regions, a head on the same map names them",
    ),
    "fast_rcnn": (
        "detection.fast_rcnn:FastRCNN",
        "Girshick 2015: regions from selective search, pooled from one map of the picture",
    ),
    "spp_net": (
        "detection.spp_net:SPPNet",
        "He 2014: regions from selective search, a spatial pyramid on a frozen map, support vector machines",
    ),
    "rcnn": (
        "detection.rcnn:RCNN",
        "Girshick 2014: regions from selective search, each seen by itself, support vector machines",
    ),
    "unet": ("segmentation.unet:UNet", "Ronneberger 2015: down and up again, with copies across"),
    "simple_rnn": ("sequence.recurrent:SimpleRNN", "Elman 1990: texts or series, the last output read"),
    "lstm": ("sequence.recurrent:LSTM", "Hochreiter and Schmidhuber 1997: gates and a cell that keeps"),
    "gru": ("sequence.recurrent:GRU", "Cho 2014: two gates, fewer parameters than an LSTM"),
    "tagger": ("sequence.tagger:Tagger", "a class for each word: recurrent, of words and their letters"),
    "two_input_lstm": (
        "pairs.two_input_lstm:TwoInputLSTM",
        "a text and a question, an LSTM each (Deep Learning with Python, listing 7-1)",
    ),
    "siamese_lstm": ("pairs.siamese_lstm:SiameseLSTM", "one LSTM reads both texts; a symmetric head compares"),
    "memory_network": ("pairs.memory_network:MemoryNetwork", "Sukhbaatar 2015: a question looks among sentences"),
    "peephole_lstm": ("sequence.recurrent:PeepholeNetwork", "Gers 2000: an LSTM whose gates see the cell (slow)"),
    "reset_before_gru": (
        "sequence.recurrent:ResetBeforeNetwork",
        "the GRU as first printed and in Keras of 2017 (slow)",
    ),
    "attention_rnn": ("sequence.attention_rnn:AttentionRNN", "Yang 2016: all outputs read, weighed by attention"),
    "sequence_mlp": (
        "sequence.flat:SequenceMLP",
        "all vectors in a row before dense layers: texts cut to one length, windows",
    ),
    "averaged_embeddings": (
        "sequence.flat:AveragedEmbeddings",
        "Joulin 2017 (fastText): the mean of word vectors, of n-grams too",
    ),
    "text_convnet": ("sequence.convolution:TextConvnet", "1-D convolutions and pooling, the largest value over time"),
    "kim_convnet": ("sequence.convolution:KimConvnet", "Kim 2014: windows of several widths side by side"),
    "conv_rnn": ("sequence.convolution:ConvRNN", "convolutions shorten the sequence, a recurrent layer reads the rest"),
    "dilated_convnet": (
        "sequence.dilated_convnet:DilatedConvnet",
        "Bai 2018: causal convolutions with growing gaps, shortcuts",
    ),
    "transformer_encoder": (
        "sequence.transformer_encoder:TransformerEncoder",
        "Vaswani 2017: attention among all steps, small",
    ),
    "skip_gram": ("sequence.word_vectors:SkipGram", "Mikolov 2013: vectors of words, each foretelling those around it"),
    "cbow": ("sequence.word_vectors:Cbow", "Mikolov 2013: the mean of a window's words foretells the one in it"),
    "glove": ("sequence.word_vectors:GloVe", "Pennington 2014: vectors of words, from how often they meet"),
    "window_words": ("sequence.word_vectors:WindowModel", "Bengio 2003: the words of a fixed window foretell one more"),
    "recurrent_lm": (
        "sequence.language:RecurrentLanguageModel",
        "language model: embedding, stacked recurrent layers, logits of the next token",
    ),
    "transformer_lm": (
        "sequence.decoder:TransformerLanguageModel",
        "language model: causal attention, as GPT-2 has it (Vaswani 2017, Radford 2019)",
    ),
    "conv_lm": (
        "sequence.causal:ConvolutionalLanguageModel",
        "language model: causal convolutions of growing dilation (van den Oord 2016)",
    ),
    "window_lm": (
        "sequence.causal:WindowLanguageModel",
        "language model: one layer over the last tokens' vectors (Bengio 2003)",
    ),
    "conv_vae": ("generative.vae:ConvVAE", "Kingma 2013: a variational autoencoder, of convolutions"),
    "dense_vae": ("generative.vae:DenseVAE", "Kingma 2013: a variational autoencoder, dense"),
    "dense_autoencoder": (
        "generative.autoencoder:DenseAutoencoder",
        "says its picture again through a code; sparse or denoising too (Hinton 2006, Vincent 2008)",
    ),
    "conv_autoencoder": ("generative.autoencoder:ConvAutoencoder", "the same of convolutions"),
    "rbm": ("generative.rbm:RBM", "Hinton 2002: a restricted Boltzmann machine, learnt by contrastive divergence"),
    "dbn": (
        "generative.dbn:DBN",
        "Hinton 2006: restricted Boltzmann machines on each other, learnt one after the other",
    ),
    "conv_rbm": ("generative.conv_rbm:ConvRBM", "Lee 2009: shared weights and probabilistic max pooling"),
    "conv_dbn": ("generative.conv_rbm:ConvDBN", "Lee 2009: convolutional machines on each other"),
    "dbn_classifier": (
        "dbn_classifier:DBNClassifier",
        "Hinton 2006: sigmoid layers that begin as those of an rbm or dbn (--weights RUN)",
    ),
    "gan": ("generative.gan:GAN", "Goodfellow 2014: a dense generator and a dense discriminator"),
    "cgan": ("generative.gan:CGAN", "Mirza 2014: both are told the class"),
    "dcgan": ("generative.dcgan:DCGAN", "Radford 2015: a generator and a discriminator of convolutions"),
    "dcgan_frogs": ("generative.dcgan:DCGANFrogs", "that of Deep Learning with Python §8.5, for 32x32"),
    "wgan_gp": ("generative.wgan_gp:WGANGP", "Gulrajani 2017: a critic that measures a distance, its slope held at 1"),
    "lapgan": ("generative.lapgan:LAPGAN", "Denton 2015: a game for each level of a Laplacian pyramid"),
    "diffusion": ("generative.diffusion:Diffusion", "Ho 2020: a small U-Net that takes noise away, step by step"),
    "q_table": ("control.q_table:QTable", "Watkins 1989: one number for each state and action"),
    "q_network": ("control.q_network:QNetwork", "Mnih 2013: what each action is worth; dueling heads (Wang 2015)"),
    "atari_dqn": (
        "control.atari:AtariDQN",
        "Mnih 2015: three convolutions over four screens; dueling heads (Wang 2015)",
    ),
    "atari_dqn_2013": ("control.atari:AtariDQN2013", "Mnih 2013: two convolutions over four screens"),
    "actor_critic": (
        "control.actor_critic:ActorCritic",
        "Schulman 2017: a policy and a value, tanh layers over vectors",
    ),
    "atari_actor_critic": (
        "control.actor_critic:AtariActorCritic",
        "a policy and a value on the features of either network for Atari",
    ),
    "densenet_40_12": ("vision.densenet:DenseNet40", "Huang 2016, for CIFAR: 40 layers, growth 12"),
}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Which network. `options` are its arguments; those that follow from the data are filled in when None is given."""

    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = (
        ""  # to begin with: a safetensors file, a run's folder, or a name such as imagenet; empty: random ones
    )
    embeddings: str = ""  # word vectors to begin with: a file of GloVe or word2vec, or a run; empty: random ones


def model_class(name: str) -> type[nn.Module]:
    """The class behind a name of `MODELS`; imports its file."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    module, _, attribute = MODELS[name][0].partition(":")
    return getattr(importlib.import_module(f"gradus.models.{module}"), attribute)


def accepted_options(name: str) -> list[str]:
    """The names of a network's arguments."""
    return [parameter for parameter in inspect.signature(model_class(name)).parameters if parameter != "self"]


def network_of(settings: ModelSettings) -> str:
    """The network whose published weights a model begins with: its backbone where it has one, else itself."""
    if settings.name not in MODELS:
        return settings.name
    parameter = inspect.signature(model_class(settings.name)).parameters.get("backbone")
    return settings.name if parameter is None else str(settings.options.get("backbone", parameter.default))


def image_sizes(model: str | nn.Module, options: dict[str, Any]) -> tuple[int, ...] | None:
    """The picture sides that a network takes, where they are fixed: by its options, its instance or its kind."""
    if not isinstance(model, str):
        size = getattr(model, "image_size", None)
        return (size,) if isinstance(size, int) else None
    if isinstance(options.get("image_size"), int):
        return (options["image_size"],)
    return getattr(model_class(model), "image_sizes", None)


def smallest_image_size(model: str | nn.Module) -> int:
    """The smallest picture side that a network can take: its `smallest_image_size`, else 1."""
    return getattr(model_class(model) if isinstance(model, str) else model, "smallest_image_size", 1)


def create_model(name: str, **options: Any) -> nn.Module:
    """Makes a network by name, with fresh weights from the global random state.

    Raises `UserError` for an unknown name or option (naming the nearest), or a size the network cannot take.
    """
    made_by = model_class(name)
    accepted = accepted_options(name)
    for option in options:
        if option not in accepted:
            raise UserError(
                f"{name} has no option '{option}'{did_you_mean(option, accepted) or '; options: ' + ', '.join(accepted)}"
            )
    missing = [
        parameter.name
        for parameter in inspect.signature(made_by).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.name not in options
    ]
    if missing:
        raise UserError(f"{name} needs {' and '.join(missing)}; options: {', '.join(accepted)}")
    for option in ("in_features", "in_channels", "image_size", "num_classes"):
        value = options.get(option, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{name}: {option} must be a whole number above 0, received {value!r}")
    try:
        model = made_by(**options)
    except TypeError as error:
        raise UserError(f"{name}: {error}") from None
    plain = {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }  # as TOML has it
    model.created_as = ModelSettings(name=name, options=plain)  # type: ignore[assignment]
    return model
