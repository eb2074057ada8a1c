//! The stay of one request in the platform: one at a time for each log-in or several, and an ending that is always recorded.
//!
//! Must not know: HTTP, XML, the script.

use std::time::Duration;

use tokio::sync::watch;

use super::{
    account::Login,
    ledger::Ledger,
    record::{EndedRequest, Ending, ReceivedMessage, Refusal},
};

/// How long a second request waits for the news that the client of the first has gone.
///
/// A client that gave up closes one connection and calls on another, and nothing orders the two on their way. Only a first
/// request that nobody waits for any more makes room; one that is answered meanwhile was in flight, and the second is refused.
const FAREWELL: Duration = Duration::from_millis(250);

/// A request that was let in. Dropping it records that its client went away, unless it ended before.
pub(super) struct Visit {
    presence: Presence,
    /// `None` where a log-in may have several.
    told: Option<watch::Sender<Option<Ending>>>,
    place: u64,
    request: EndedRequest,
    then: Option<Box<dyn FnOnce() + Send>>,
}

impl Visit {
    /// Lets a request in and records its messages, or refuses it because another one of its log-in has not ended.
    pub async fn alone(
        ledger: &Ledger,
        number: u64,
        login: &Login,
        messages: Vec<ReceivedMessage>,
    ) -> Result<Self, Refusal> {
        let presence = Presence::of(ledger, login)?;
        let told = presence.take_the_one_place().await?;
        Ok(Self::record(presence, Some(told), number, messages))
    }

    /// Lets a request in beside others of its log-in, up to this many at one time.
    pub fn beside_others(
        ledger: &Ledger,
        number: u64,
        login: &Login,
        messages: Vec<ReceivedMessage>,
        most: usize,
    ) -> Result<Self, Refusal> {
        let presence = Presence::in_parallel(ledger, login, most)?;
        Ok(Self::record(presence, None, number, messages))
    }

    fn record(
        presence: Presence,
        told: Option<watch::Sender<Option<Ending>>>,
        number: u64,
        mut messages: Vec<ReceivedMessage>,
    ) -> Self {
        Self {
            place: presence.ledger.receive(&mut messages),
            told,
            request: EndedRequest {
                number,
                login: presence.login.clone(),
                messages,
                ending: Ending::Abandoned,
            },
            presence,
            then: None,
        }
    }

    /// Has this done when it has ended, however it ends.
    pub fn then(&mut self, then: impl FnOnce() + Send + 'static) {
        self.then = Some(Box::new(then));
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
        if let Some(told) = &self.told {
            self.presence.leave();
            // Nobody may be waiting for the news.
            let _ = told.send(Some(self.request.ending));
        } else {
            self.presence.leave_the_others();
        }
        self.presence.ledger.end(self.place, &self.request);
        if let Some(then) = self.then.take() {
            then();
        }
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

    /// Present beside others, whose number is counted apart from those that must be alone.
    fn in_parallel(ledger: &Ledger, login: &Login, most: usize) -> Result<Self, Refusal> {
        let presence = Self::of(ledger, login)?;
        ledger.with_figures(login, |figures| {
            let parallel = figures.parallel + 1;
            figures.max_in_flight = figures.max_in_flight.max(parallel);
            if parallel > most {
                return Err(Refusal::TooManyParallel);
            }
            figures.parallel = parallel;
            Ok(())
        })??;
        Ok(presence)
    }

    fn leave_the_others(&self) {
        // The log-in is known since `of`.
        let _ = self
            .ledger
            .with_figures(&self.login, |figures| figures.parallel -= 1);
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
        Visit::alone(ledger, number, &Login::new(login), Vec::new()).await
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
    async fn parallel_requests_are_counted_and_one_too_many_is_refused() {
        let ledger = Ledger::new(10, None);
        let madrid = Login::new("madrid");
        let beside = |number| Visit::beside_others(&ledger, number, &madrid, Vec::new(), 2);
        let (first, second) = (beside(1).unwrap(), beside(2).unwrap());
        assert_eq!(beside(3).err(), Some(Refusal::TooManyParallel));
        first.answered([]);
        let third = beside(4).unwrap();
        second.answered([]);
        third.dropped();
        assert_eq!(ledger.max_in_flight("madrid"), 3);
        drop((beside(5).unwrap(), beside(6).unwrap()));
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
