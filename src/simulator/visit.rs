//! The stay of one request in the platform: one at a time for each log-in, and an ending that is always recorded.
//!
//! Must not know: HTTP, XML, the script.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    account::Login,
    ledger::Ledger,
    record::{EndedRequest, Ending, ReceivedMessage, Refusal},
    request::WireMessage,
};

/// How long a second request waits for the news that the client of the first has gone.
///
/// A client that gave up closes one connection and calls on another, and nothing orders the two on their way. Only a first
/// request that nobody waits for any more makes room; one that is answered meanwhile was in flight, and the second is refused.
const FAREWELL: Duration = Duration::from_millis(250);

/// A request that was let in. Dropping it records that its client went away, unless it ended before.
pub(super) struct Visit {
    presence: Presence,
    told: watch::Sender<Option<Ending>>,
    place: u64,
    request: EndedRequest,
}

impl Visit {
    /// Lets a request in and records its messages, or refuses it because another one of its log-in has not ended.
    pub async fn begin(
        ledger: &Ledger,
        number: u64,
        now: Timestamp,
        login: &Login,
        messages: &[WireMessage],
    ) -> Result<Self, Refusal> {
        let presence = Presence::of(ledger, login)?;
        let told = presence.take_the_one_place().await?;
        let messages: Vec<_> = messages
            .iter()
            .map(|message| {
                let fields = (&message.phone, &message.text, message.sender.as_str());
                ReceivedMessage::new(number, now, login, fields)
            })
            .collect();
        Ok(Self {
            place: ledger.receive(&messages),
            presence,
            told,
            request: EndedRequest {
                number,
                login: login.clone(),
                messages,
                ending: Ending::Abandoned,
            },
        })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.request.number
    }

    /// Its messages, in the order of the wire.
    pub fn messages(&self) -> &[ReceivedMessage] {
        &self.request.messages
    }

    /// Ends it: answered, with the codes that the client is told, in order; messages beyond them are told none.
    pub fn answered(mut self, codes: impl IntoIterator<Item = Option<i32>>) {
        for (message, code) in self.request.messages.iter_mut().zip(codes) {
            message.code = code;
        }
        self.request.ending = Ending::Answered;
    }

    /// Ends it: the connection is closed without a whole answer.
    pub fn dropped(mut self) {
        self.request.ending = Ending::Dropped;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.presence.leave();
        // Nobody may be waiting for the news.
        let _ = self.told.send(Some(self.request.ending));
        self.presence.ledger.end(self.place, &self.request);
    }
}

/// A request of a log-in that is in flight or asks to be.
struct Presence {
    ledger: Ledger,
    login: Login,
}

impl Presence {
    fn of(ledger: &Ledger, login: &Login) -> Result<Self, Refusal> {
        ledger.with_figures(login, |figures| figures.present += 1)?;
        Ok(Self {
            ledger: ledger.clone(),
            login: login.clone(),
        })
    }

    async fn take_the_one_place(&self) -> Result<watch::Sender<Option<Ending>>, Refusal> {
        loop {
            let taken = self.ledger.with_figures(&self.login, |figures| {
                if let Some(in_flight) = &figures.in_flight {
                    return Err((in_flight.clone(), figures.present));
                }
                let (told, will_tell) = watch::channel(None);
                figures.in_flight = Some(will_tell);
                figures.max_in_flight = figures.max_in_flight.max(1);
                Ok(told)
            })?;
            let (mut earlier, present) = match taken {
                Ok(told) => return Ok(told),
                Err(occupied) => occupied,
            };
            let farewell = earlier.wait_for(|ending| *ending == Some(Ending::Abandoned));
            let gone = matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_)));
            if !gone {
                self.ledger.with_figures(&self.login, |figures| {
                    figures.max_in_flight = figures.max_in_flight.max(present);
                })?;
                return Err(Refusal::SecondRequest);
            }
        }
    }

    /// Frees the one place.
    fn leave(&self) {
        // The log-in is known since `of`.
        let _ = self
            .ledger
            .with_figures(&self.login, |figures| figures.in_flight = None);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // The log-in is known since `of`.
        let _ = self
            .ledger
            .with_figures(&self.login, |figures| figures.present -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn begin(ledger: &Ledger, number: u64, login: &str) -> Result<Visit, Refusal> {
        let login = Login::new(login);
        Visit::begin(ledger, number, Timestamp::UNIX_EPOCH, &login, &[]).await
    }

    #[tokio::test]
    async fn a_second_request_is_refused_and_counted_until_the_first_has_ended() {
        let ledger = Ledger::new(10, None);
        let first = begin(&ledger, 1, "madrid").await.unwrap();
        let other = begin(&ledger, 2, "vigo").await.unwrap();
        let second = begin(&ledger, 3, "madrid").await;
        assert_eq!(second.err(), Some(Refusal::SecondRequest));
        first.answered([]);
        begin(&ledger, 4, "madrid").await.unwrap().dropped();
        other.answered([]);
        assert_eq!(ledger.max_in_flight("madrid"), 2);
        assert_eq!(ledger.max_in_flight("vigo"), 1);
        assert_eq!(ledger.max_in_flight_of_all(), 2);
    }

    #[tokio::test]
    async fn a_request_that_its_client_left_makes_room() {
        let ledger = Ledger::new(10, None);
        let first = begin(&ledger, 1, "madrid").await.unwrap();
        let (second, ()) = tokio::join!(begin(&ledger, 2, "madrid"), async { drop(first) });
        second.unwrap().answered([]);
        assert_eq!(ledger.max_in_flight("madrid"), 1);
    }

    #[tokio::test]
    async fn a_request_that_is_answered_meanwhile_was_still_in_flight() {
        let ledger = Ledger::new(10, None);
        let first = begin(&ledger, 1, "madrid").await.unwrap();
        let (second, ()) = tokio::join!(begin(&ledger, 2, "madrid"), async { first.answered([]) });
        assert_eq!(second.err(), Some(Refusal::SecondRequest));
        assert_eq!(ledger.max_in_flight("madrid"), 2);
    }
}
