//! Random schedules of everything that can happen to the store, with crashes in between, against a small model of what
//! must follow. The store is the real one, on a real disk.
//!
//! `PROPTEST_CASES=5000 cargo nextest run model::` tries more schedules than a usual run.

mod calls;
mod disk;
mod expected;
mod kept;
mod observed;
mod plan;

use clave_otp::store::Store as _;
use futures_util::future::join_all;
use proptest::prelude::*;

use self::{
    calls::{Call, Step},
    disk::{Disk, Ending},
    expected::Model,
    observed::Observed,
};

/// Schedules of a usual run.
const CASES: u32 = 64;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// The store is asked, once or several times at the same moment: those share a commit.
    Calls(Vec<Step>),
    /// A lane says how long its gateway takes for a request. By itself: what is told so takes no turn among the calls.
    LaneTells { account: u8, seconds: u8 },
    /// Time passes.
    Wait { milliseconds: u32 },
    /// The process ends and another begins; meanwhile the machine's clock may be put back.
    Restart { ending: Ending, back_seconds: u8 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        16 => calls::step().prop_map(|step| Event::Calls(vec![step])),
        2 => prop::collection::vec(calls::step(), 2..6).prop_map(Event::Calls),
        2 => (0..2_u8, prop_oneof![1 => Just(0), 3 => 0..60_u8])
            .prop_map(|(account, seconds)| Event::LaneTells { account, seconds }),
        4 => (1..60_000_u32).prop_map(|milliseconds| Event::Wait { milliseconds }),
        2 => (disk::ending(), prop_oneof![4 => Just(0), 1 => 1..9_u8])
            .prop_map(|(ending, back_seconds)| Event::Restart { ending, back_seconds }),
    ]
}

fn configuration() -> ProptestConfig {
    let mut configuration = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        configuration.cases = CASES;
    }
    configuration
}

/// Plays a schedule; after each event the store must be as the model says, and as the rules say without any model.
async fn play(events: Vec<Event>) {
    let mut model = Model::new();
    let mut disk = Disk::new();
    let mut seen = Observed::of(&disk).await;
    for event in events {
        let moves = match &event {
            Event::Calls(steps) => {
                let calls: Vec<Call> = steps.iter().map(|step| model.plan(step)).collect();
                let asked = calls.iter().map(|call| call.ask(disk.store()));
                let answers = join_all(asked).await;
                for (call, answer) in calls.iter().zip(answers) {
                    model.follow(call, answer);
                }
                // An outcome, and at once the report that came before it.
                2 * calls.len()
            }
            Event::LaneTells { account, seconds } => {
                let account = calls::account(*account);
                let report = model.lane_tells(&account, *seconds);
                disk.store().lanes().publish(&account, report);
                0
            }
            Event::Wait { milliseconds } => {
                model.wait(*milliseconds);
                0
            }
            Event::Restart {
                ending,
                back_seconds,
            } => {
                model.put_clock_back(*back_seconds);
                disk = disk.restart(ending, &mut model).await;
                2
            }
        };
        let now = Observed::of(&disk).await;
        now.follows(&seen, moves);
        now.is_as(&model);
        seen = now;
    }
    disk = disk.restart(&Ending::Closed, &mut model).await;
    let now = Observed::of(&disk).await;
    now.follows(&seen, 2);
    now.is_as(&model);
    model.assert_receipts(disk.store()).await;
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn whatever_happens_in_whatever_order_the_store_does_as_the_model_says(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(events));
    }
}
