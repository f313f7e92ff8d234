"""moto's server, with its SQS made safe for requests at once.

moto answers each request in a thread of its own and guards the list of a queue's
messages in part only: a message that is sent while another is removed can get lost,
and one may be given to two receivers. Here one call at a time touches the queues; a
long poll waits outside of that.
"""

import functools
import threading
import time

from moto.server import main
from moto.sqs.models import SQSBackend

one = threading.RLock()


def alone(call):
    @functools.wraps(call)
    def wrapped(*args, **kwargs):
        with one:
            return call(*args, **kwargs)

    return wrapped


for name in (
    "send_message",
    "send_message_batch",
    "delete_message",
    "delete_message_batch",
    "change_message_visibility",
    "change_message_visibility_batch",
    "purge_queue",
    "get_queue_attributes",
):
    setattr(SQSBackend, name, alone(getattr(SQSBackend, name)))

at_once = alone(SQSBackend.receive_message)


def receive_message(self, queue_name, count, wait_seconds_timeout, *args, **kwargs):
    end = time.monotonic() + int(wait_seconds_timeout or 0)
    while True:
        result = at_once(self, queue_name, count, 0, *args, **kwargs)
        if result or time.monotonic() >= end:
            return result
        time.sleep(0.02)


SQSBackend.receive_message = receive_message

if __name__ == "__main__":
    main()
