"""Text captchas: letters and digits, read by one small network in one thread."""

from collections.abc import Iterator

from legible import images
from legible.recognizers.text.decode import decode
from legible.recognizers.text.model import Floats, network
from legible.recognizers.text.preprocess import further_views, preprocess
from legible.tasks import Task, TextAnswer, TextOptions


def recognize(task: Task) -> TextAnswer:
    """The text of the task's picture; raises `RecognitionFailed` under the threshold."""
    options = task.options if isinstance(task.options, TextOptions) else TextOptions()
    net = network()
    picture = images.decode(task.images[0])

    def further(hopeless: bool) -> Iterator[Floats]:
        return map(net.run, further_views(picture, hopeless))

    return decode(net.run(preprocess(picture)), net, options, task.threshold, further)
