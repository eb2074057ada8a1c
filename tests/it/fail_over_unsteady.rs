//! A platform that takes what it is tried with and then fails again, over and over: it is given little, and codes do not go to and fro.

use std::{sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    grpc::proto::{Delivery, DeliveryState, LaneState},
    simulator::{Action, Match, Script},
};

use crate::fail_over::{FIRST, SECOND, Stream, second_platform, start_at, way};

/// Citizens after this one are those for whom the first platform says that it is busy.
const BUSY_FROM: u32 = 500;

/// How often the first platform seems well and is not.
const ROUNDS: usize = 5;

/// Codes of one round, and how many of them the first account was given.
#[derive(Debug, Default)]
struct Round {
    codes: u32,
    to_first: u32,
}

impl Stream {
    /// A code that the first platform takes, or one that it does not; each goes out, moving on at most once.
    async fn one(&mut self, is_well: bool) -> (Delivery, Delivery) {
        let in_turn = (self.citizen + 1) % (BUSY_FROM - 1);
        self.citizen = if is_well {
            in_turn
        } else {
            BUSY_FROM + in_turn
        };
        let accepted = self.accepted().await;
        self.citizen = in_turn;
        let ended = self.end(&accepted.name).await;
        assert_eq!(ended.state(), DeliveryState::Sent);
        let moves = i32::from(accepted.account != ended.account);
        assert!(ended.attempts <= 1 + moves, "{ended:?}");
        (accepted, ended)
    }

    /// Ten codes a second that the first platform does not take, until its lane rests.
    async fn until_it_rests(&mut self) -> Round {
        let mut round = Round::default();
        while self.lane_of_first().await != LaneState::Resting {
            let (accepted, ended) = self.one(false).await;
            assert_eq!(way(&ended).0, SECOND, "the other one always can");
            round.codes += 1;
            round.to_first += u32::from(accepted.account == FIRST);
            assert!(round.codes < 2_000, "it never rests: {round:?}");
            self.clock.advance(Duration::from_millis(100));
        }
        round
    }

    /// Codes that the first platform takes, until it was tried with one of them.
    async fn until_it_seems_well(&mut self) {
        for _ in 0..100 {
            if way(&self.one(true).await.1).0 == FIRST {
                return;
            }
            self.clock.advance(Duration::from_secs(5));
        }
        panic!("it is never tried");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_fails_again_after_each_trial_is_given_few_codes_and_none_goes_to_and_fro()
{
    let second = second_platform(Script::new()).await;
    let clock = ManualClock::at(SystemClock::new().now());
    let busy = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = (BUSY_FROM..2 * BUSY_FROM).fold(Script::new(), |script, citizen| {
        let phone = format!("600000{citizen:03}");
        script.on(Match::phone(&phone), busy.clone())
    });
    let app = start_at(None, script, &second, Arc::new(clock.clone())).await;
    let mut stream = Stream {
        app,
        clock,
        citizen: 0,
    };
    // A lane that was well is offered all, so it is found out at once.
    let found_out = stream.until_it_rests().await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        stream.until_it_seems_well().await;
        rounds.push(stream.until_it_rests().await);
    }
    let codes: u32 = rounds.iter().map(|round| round.codes).sum();
    let to_first: u32 = rounds.iter().map(|round| round.to_first).sum();
    // It is offered a tenth, then half of that with each failure; which code goes where is drawn, so not to the code.
    assert!(
        to_first * 4 <= codes,
        "{to_first} of {codes}: {rounds:?}, after {found_out:?}"
    );
    // What one round costs is what it takes to see that the platform is sick, and no more.
    assert!(
        rounds.iter().all(|round| (1..=6).contains(&round.to_first)),
        "{rounds:?}"
    );
}
