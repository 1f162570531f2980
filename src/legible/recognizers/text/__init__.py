"""Text captchas: letters and digits, read by one small network in one thread."""

from legible import images
from legible.recognizers.text.decode import decode
from legible.recognizers.text.model import network
from legible.recognizers.text.preprocess import views
from legible.tasks import Task, TextAnswer, TextOptions


def recognize(task: Task) -> TextAnswer:
    """The text of the task's picture; raises `RecognitionFailed` under the threshold."""
    options = task.options if isinstance(task.options, TextOptions) else TextOptions()
    net = network()
    looks = map(net.run, views(images.decode(task.images[0])))
    return decode(looks, net, options, task.threshold)
