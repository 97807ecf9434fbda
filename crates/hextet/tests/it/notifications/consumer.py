"""A consumer as OpenStack's telemetry has one: it prints what it is told, a line of JSON each."""
import json
import logging
import sys

import oslo_messaging
from oslo_config import cfg

url, ca, certificate, key = sys.argv[1:]
logging.basicConfig(stream=sys.stderr, level=logging.INFO)


class Endpoint:
    def told(self, ctxt, publisher_id, event_type, payload, metadata):
        line = json.dumps({"event_type": event_type, "publisher_id": publisher_id, "payload": payload,
                           "context": ctxt, "id": metadata["message_id"]})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    info = error = told


conf = cfg.ConfigOpts()
conf([])
transport = oslo_messaging.get_notification_transport(conf, url=url)
for name, value in {"ssl": True, "ssl_ca_file": ca, "ssl_cert_file": certificate, "ssl_key_file": key,
                    "amqp_durable_queues": True}.items():
    conf.set_override(name, value, group="oslo_messaging_rabbit")
exchanges = ["keystone", "glance", "nova", "neutron", "cinder"]
targets = [oslo_messaging.Target(exchange=e, topic="notifications") for e in exchanges]
listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint()], executor="threading")
# With more threads they would be told in any order.
conf.set_override("executor_thread_pool_size", 1)
listener.start()
listener.wait()
