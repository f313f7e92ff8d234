"""moto's server, with its SQS made safe for requests at once, and an error of KMS as
AWS documents it.

moto answers each request in a thread of its own and guards the list of a queue's
messages in part only: a message that is sent while another is removed can get lost,
and one may be given to two receivers. Here one call at a time touches the queues; a
long poll waits outside of that. What looks at each message of a queue is written so
that thousands of them don't make it the slowest part of a test.

A Decrypt that names another key than the one that encrypted is an
IncorrectKeyException; moto has AccessDeniedException for it.
"""

import functools
import threading
import time

from moto.core.exceptions import JsonRESTError
from moto.core.utils import unix_time_millis
from moto.kms.models import KmsBackend
from moto.server import main
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend

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


def messages(self):
    now = unix_time_millis()
    return [m for m in self._messages if m.visible_at < now and m.delayed_until <= now]


def in_flight(self):
    now = unix_time_millis()
    return sum(m.visible_at >= now for m in self._messages)


def delayed(self):
    now = unix_time_millis()
    return sum(m.delayed_until > now for m in self._messages)


def had_receipt_handle(self, receipt_handle):
    return receipt_handle == self.receipt_handle or receipt_handle in self._old_receipt_handles


def delete_message(self, receipt_handle):
    if receipt_handle in self.deleted_messages:
        return
    for at, message in enumerate(self._messages):
        if message.had_receipt_handle(receipt_handle):
            self.pending_messages.discard(message)
            self.deleted_messages.update(message.all_receipt_handles)
            del self._messages[at]
            return
    raise ReceiptHandleIsInvalid()


Queue.messages = property(messages)
Queue.approximate_number_of_messages_not_visible = property(in_flight)
Queue.approximate_number_of_messages_delayed = property(delayed)
Queue.delete_message = delete_message
Message.had_receipt_handle = had_receipt_handle

decrypt_by_any = KmsBackend.decrypt


def decrypt(self, ciphertext_blob, encryption_context, key_id=None):
    plaintext, arn = decrypt_by_any(self, ciphertext_blob, encryption_context)
    if key_id is not None and self.keys[self.any_id_to_key_id(key_id)].arn != arn:
        raise JsonRESTError(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
    return plaintext, arn


KmsBackend.decrypt = decrypt

if __name__ == "__main__":
    main()
