"""The SOAP interface of a Mensajería Negocios platform, made with the SOAP stack zeep and a WSDL.

Prints "listening on HOST:PORT", serves until SIGTERM, then writes what it received to the file named by --record. Each
request is taken apart by zeep, by the operation that its SOAPAction names, and answered by zeep. Where a request names an
address for reports, zeep's client then sends a report there, and after it a citizen's answer; what came back is kept.
"""

import argparse
import datetime
import json
import os
import pathlib
import queue
import signal
import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import isodate
import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError

WSDL = pathlib.Path(__file__).with_name("interfaz-simplificada.wsdl")
TARGET = "{urn:clave-otp:interfaz-simplificada}"
CALLBACK_TIMEOUT_SECONDS = 20
SUCCESS, IMPROPER_IDENTIFICATION, VALIDATION_ERROR = "1000", "4001", "4004"
STATUS_TEXTS = {
    SUCCESS: "Success",
    IMPROPER_IDENTIFICATION: "Improper identification",
    VALIDATION_ERROR: "Validation error",
}
# A number for which the report says something else than "Delivered".
STATUSES = {"600000002": "Expired", "600000003": "Rejected"}


def client():
    transport = zeep.Transport(operation_timeout=CALLBACK_TIMEOUT_SECONDS)
    # Only what its WSDL names is fetched, and that lies beside it.
    settings = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    return zeep.Client(str(WSDL), transport=transport, settings=settings, service_name="PlatformService")


def seconds_left(expiry):
    """The xsd:duration or xsd:dateTime as seconds from now."""
    if expiry.startswith("P"):
        return isodate.parse_duration(expiry).total_seconds()
    return (isodate.parse_datetime(expiry) - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


class Platform:
    """Takes messages, keeps book, and tells later what became of them."""

    def __init__(self, login, password):
        self.credentials = f"{login}:{password}".encode()
        self.client = client()
        self.binding = self.client.wsdl.bindings[TARGET + "PlatformBinding"]
        self.lock = threading.Lock()
        self.due = queue.Queue()
        self.record = {"messages": [], "notices": [], "wrong_credentials": 0, "malformed": []}

    def answer(self, soap_action, body):
        """The bytes to answer with, and the report that is due afterwards."""
        operation = self.binding.get(soap_action.strip('"'))
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True)
            request = operation.input.deserialize(etree.fromstring(body, parser))
            code, report = self.take(soap_action, request)
        except (ZeepError, etree.XMLSyntaxError, AttributeError, TypeError, ValueError) as error:
            with self.lock:
                self.record["malformed"].append(repr(error))
            code, report = VALIDATION_ERROR, None
        answer = operation.output.serialize(
            Version="1.0",
            Status={"StatusCode": code, "StatusText": STATUS_TEXTS[code]},
            MessageId=report and report["MessageId"],
        )
        return etree.tostring(answer.content, xml_declaration=True, encoding="UTF-8"), report

    def take(self, soap_action, request):
        with self.lock:
            if request.Authorization != self.credentials:
                self.record["wrong_credentials"] += 1
                return IMPROPER_IDENTIFICATION, None
            [number] = request.Recipients.To
            message_id = str(uuid.uuid4())
            self.record["messages"].append(
                {
                    "soap_action": soap_action,
                    "version": request.Version,
                    "sender": request.Sender,
                    "number": number,
                    "text": request.SMSText,
                    "seconds_left": request.ExpiryDate and seconds_left(request.ExpiryDate),
                    "delivery_report": request.DeliveryReport,
                    "delivery_report_url": request.DeliveryReportURL,
                    "message_id": message_id,
                }
            )
        report = {
            "url": request.DeliveryReportURL,
            "Version": "1.0",
            "Sender": request.Sender,
            "Recipient": "0034" + number,
            "MessageId": message_id,
            "MessageStatus": STATUSES.get(number, "Delivered"),
            "StatusText": "Entregado: señal & acuse",
        }
        return SUCCESS, report

    def tell(self):
        """Sends what is due, one after the other."""
        while True:
            report = self.due.get()
            url = report.pop("url")
            # Nothing of a test leaves the machine, whatever a request says.
            if urllib.parse.urlsplit(url).hostname != "127.0.0.1":
                with self.lock:
                    self.record["notices"].append({"error": "not a loopback address"})
                self.due.task_done()
                continue
            notices = self.client.create_service(TARGET + "NoticesBinding", url)
            for operation, values in (("deliveryReport", report), ("smsDeliver", {"Version": "1.0"})):
                try:
                    answer = getattr(notices, operation)(**values)
                    outcome = {"code": answer.Status.StatusCode, "text": answer.Status.StatusText}
                except (ZeepError, OSError) as error:
                    outcome = {"error": repr(error)}
                with self.lock:
                    self.record["notices"].append({"operation": operation, **outcome})
            self.due.task_done()


def handler(platform):
    class Handler(BaseHTTPRequestHandler):
        """The one entrance; connections are kept, as the platform keeps them."""

        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer, report = platform.answer(self.headers["SOAPAction"], body)
            self.send_response(200)
            self.send_header("Content-Type", "text/xml; charset=utf-8")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            if report and report["url"]:
                platform.due.put(report)

        def log_message(self, *_):
            """Nothing is logged: the record tells all."""

    return Handler


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", required=True, help="file for what was received")
    parser.add_argument("--login", required=True)
    arguments = parser.parse_args()
    platform = Platform(arguments.login, os.environ["PEER_PASSWORD"])

    # Blocked in every thread, so that only the wait below takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(platform)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        threading.Thread(target=platform.tell, daemon=True).start()
        host, port = server.server_address
        print(f"listening on {host}:{port}", flush=True)
        signal.sigwait({signal.SIGTERM})
        server.shutdown()
    # Each notice ends within its time-out.
    platform.due.join()
    with open(arguments.record, "w", encoding="utf-8") as file:
        json.dump(platform.record, file, ensure_ascii=False)


if __name__ == "__main__":
    main()
