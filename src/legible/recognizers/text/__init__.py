"""Text captchas: letters and digits, read by one small network in one thread."""

from legible import images
from legible.recognizers.text.decode import decode
from legible.recognizers.text.looks import looks
from legible.recognizers.text.model import network
from legible.tasks import Task, TextAnswer, TextOptions


def recognize(task: Task) -> TextAnswer:
    """The text of the task's picture; raises `RecognitionFailed` under the threshold."""
    options = task.options if isinstance(task.options, TextOptions) else TextOptions()
    net = network()
    first, further = looks(net, images.decode(task.images[0], task.limits))
    return decode(first, net, options, task.threshold, further)
