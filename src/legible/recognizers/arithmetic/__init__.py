"""Arithmetic captchas: the text network reads the sum, `decode` works it out."""

from legible import images
from legible.images import Picture
from legible.recognizers.arithmetic.decode import decode
from legible.recognizers.text.looks import looks, of_frames
from legible.recognizers.text.model import network
from legible.tasks import ArithmeticAnswer, Task


def recognize(task: Task) -> ArithmeticAnswer:
    """The sum in the task's picture and its value; raises `RecognitionFailed` for what is no sum or not
    surely read."""
    net = network()

    def read(picture: Picture) -> ArithmeticAnswer:
        first, further = looks(net, picture)
        return decode(first, net, task.threshold, further)

    return of_frames(images.decode(task.images[0], task.limits), read)
