"""Text captchas: letters and digits, read by one small network in one thread."""

from legible import images
from legible.images import Picture
from legible.recognizers.text.decode import decode
from legible.recognizers.text.looks import looks, of_frames
from legible.recognizers.text.model import network
from legible.tasks import Task, TextAnswer, TextOptions


def recognize(task: Task) -> TextAnswer:
    """The text of the task's picture; raises `RecognitionFailed` under the threshold."""
    options = task.options if isinstance(task.options, TextOptions) else TextOptions()
    net = network()

    def read(picture: Picture) -> TextAnswer:
        first, further = looks(net, picture)
        return decode(first, net, options, task.threshold, further)

    return of_frames(images.decode(task.images[0], task.limits), read)
