"""A client of clave-otp made with grpcio: sends codes, repeats some requests, follows every delivery.

Prints one JSON object: what was accepted, what was answered as a repeat, where each delivery ended. Writes what the
gateway must have received to the file named by --expected. It knows the API from proto/ alone.
"""

import argparse
import asyncio
import collections
import datetime
import json
import uuid

import grpc

import stubs

CODES = 400
AT_ONCE = 64
# Every tenth request is made twice at the same moment; the first twenty are made again at the end.
TWICE_EVERY = 10
AGAIN = 20
CALL_TIMEOUT_SECONDS = 20
WHOLE_TIMEOUT_SECONDS = 90
LIFE = datetime.timedelta(minutes=10)

# The texts that must arrive, as GSM 03.38 can carry them; from independent test data (tests/vectors/text.jsonl).
TEXTS = {
    "es": "Cl@ve: su codigo es {code}. Caduca en 10 minutos. No lo comparta con nadie.",
    "gl": "Cl@ve: o seu codigo é {code}. Caduca en 10 minutos. Non o comparta con ninguén.",
}
# What is asked for, and what the citizen must see as sender: the account's default where nothing is asked for.
SENDERS = [("", "ClaveMadrid"), ("ClaveMadrid", "ClaveMadrid"), ("217812", "217812")]

delivery_pb2, service_pb2, service_grpc = stubs.load()
UNDER_WAY = {delivery_pb2.DELIVERY_STATE_ACCEPTED, delivery_pb2.DELIVERY_STATE_SENDING}


def requests(administration):
    """All requests, each with the message that must reach the gateway."""
    expire_time = datetime.datetime.now(datetime.timezone.utc) + LIFE
    for index in range(CODES):
        code = f"{100_000 + index * 2_003 % 900_000}"
        language = ("es", "gl")[index % 2]
        asked, seen = SENDERS[index % len(SENDERS)]
        request = service_pb2.CreateDeliveryRequest(
            request_id=str(uuid.uuid4()),
            administration=administration,
            recipient=f"+34{600_000_000 + index}",
            code=code,
            purpose=delivery_pb2.PURPOSE_LOGIN,
            language=language,
            sender=asked,
            reference=f"peer-{index}",
        )
        request.expire_time.FromDatetime(expire_time)
        text = TEXTS[language].format(code=code)
        yield request, {"number": request.recipient, "text": text, "sender": seen}


class Client:
    """The calls, never more than AT_ONCE of them under way."""

    def __init__(self, channel):
        self.service = service_grpc.DeliveryServiceStub(channel)
        self.free = asyncio.Semaphore(AT_ONCE)

    async def create(self, request):
        async with self.free:
            return await self.service.CreateDelivery(request, timeout=CALL_TIMEOUT_SECONDS)

    async def create_as_planned(self, index, request):
        if index % TWICE_EVERY:
            return [await self.create(request)]
        return await asyncio.gather(self.create(request), self.create(request))

    async def follow(self, name):
        """The state in which the delivery is no longer under way."""
        async with self.free:
            watch = service_pb2.WatchDeliveryRequest(name=name)
            async for change in self.service.WatchDelivery(watch, timeout=CALL_TIMEOUT_SECONDS):
                if change.delivery.state not in UNDER_WAY:
                    return delivery_pb2.DeliveryState.Name(change.delivery.state)
        return "STREAM_ENDED_EARLY"


async def run(arguments):
    planned = list(requests(arguments.administration))
    with open(arguments.expected, "w", encoding="utf-8") as file:
        json.dump([message for _, message in planned], file, ensure_ascii=False)
    async with grpc.aio.insecure_channel(arguments.target) as channel:
        client = Client(channel)
        firsts = (client.create_as_planned(index, request) for index, (request, _) in enumerate(planned))
        answers = await asyncio.gather(*firsts)
        again = await asyncio.gather(*(client.create(request) for request, _ in planned[:AGAIN]))
        for answer, repeat in zip(answers, again):
            answer.append(repeat)
        names = [answer[0].delivery.name for answer in answers]
        states = await asyncio.gather(*(client.follow(name) for name in names))
    every = [answer for group in answers for answer in group]
    summary = {
        "accepted": sum(not answer.replayed for answer in every),
        "replayed": sum(answer.replayed for answer in every),
        "deliveries": len({answer.delivery.name for answer in every}),
        # Repeats of one request must all name the same delivery, and exactly one of them may be the first.
        "requests_with_one_delivery_and_one_first": sum(
            len({answer.delivery.name for answer in group}) == 1
            and sum(not answer.replayed for answer in group) == 1
            for group in answers
        ),
        "states": collections.Counter(states),
    }
    print(json.dumps(summary), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="HOST:PORT of the service")
    parser.add_argument("--administration", required=True, help="DIR3 code")
    parser.add_argument("--expected", required=True, help="file for the messages that must arrive")
    asyncio.run(asyncio.wait_for(run(parser.parse_args()), WHOLE_TIMEOUT_SECONDS))


if __name__ == "__main__":
    main()
