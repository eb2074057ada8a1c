//! The lives of the service: each starts, works for a while, and is ended by SIGKILL at a moment that chance chooses.
//!
//! Must not know: what the callers ask, what the books say.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tonic::{Status, transport::Channel};

use super::{
    callers::{Callers, Client},
    chance::{Chance, Purpose},
    installation::REQUEST_TIMEOUT,
    platforms::Platforms,
    process::{Service, Starter},
};
use crate::{
    clock::{Clock as _, SystemClock},
    crash_points::{CrashAt, Point},
    grpc::proto::{WatchDeliveriesRequest, delivery_service_client::DeliveryServiceClient},
};

/// How long a life may last that waits for its point; then it is killed as it is.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How a life ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// This long after it listens.
    AtSomeMoment(Duration),
    /// This long after its process was started, most often before it listens.
    WhileStarting(Duration),
    /// By itself, at this passage of a point.
    At(CrashAt),
    /// This long after the platform has begun to hold a request.
    DuringRequest(Duration),
    /// After the service has given up a request that the platform held.
    AfterTimeOut,
    /// It stands still for a while, goes on, and is killed soon after that.
    Frozen {
        after: Duration,
        still: Duration,
        then: Duration,
    },
}

/// How many lives ended how.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        formatter.write_str(&words.join(", "))
    }
}

impl Tally {
    pub(super) fn as_json(&self) -> Value {
        self.0
            .iter()
            .map(|(kind, count)| ((*kind).to_owned(), Value::from(*count)))
            .collect()
    }
}

/// All lives of a run.
pub(super) struct Lives<'a> {
    platforms: &'a Platforms,
    starter: &'a Starter,
    callers: &'a Callers,
    clock: SystemClock,
    tally: Tally,
    recoveries: Vec<(Timestamp, Timestamp)>,
    killed_before: bool,
}

impl<'a> Lives<'a> {
    pub(super) fn new(
        platforms: &'a Platforms,
        starter: &'a Starter,
        callers: &'a Callers,
    ) -> Self {
        Self {
            platforms,
            starter,
            callers,
            clock: SystemClock::new(),
            tally: Tally::default(),
            recoveries: Vec::new(),
            killed_before: false,
        }
    }

    /// The first life, in which nobody asks anything: the place in the log of changes from which all is told later.
    pub(super) async fn first(&mut self) -> Result<String, String> {
        let (service, mut client) = self.last().await?;
        let begin = WatchDeliveriesRequest::default();
        let failed = |status: Status| format!("the changes cannot be watched: {status}");
        let watched = client.watch_deliveries(begin).await.map_err(failed)?;
        let first = watched.into_inner().message().await.map_err(failed)?;
        let token = first.ok_or("a watch ended at once")?.resume_token;
        self.callers.serve(None);
        service.kill().await?;
        Ok(token)
    }

    /// Lives and dies so many times, and lets the requests begin evenly over all lives, the last one included.
    pub(super) async fn live(
        &mut self,
        seed: u64,
        kills: u64,
        deliveries: u64,
    ) -> Result<(), String> {
        let due_by = |life: u64| deliveries * life / (kills + 1);
        for life in 0..kills {
            let requests = due_by(life + 1) - due_by(life);
            self.callers.allow(requests);
            let end = end_of(seed, life, kills);
            let kind = self.live_once(end).await?;
            *self.tally.0.entry(kind).or_default() += 1;
            self.killed_before = true;
        }
        self.callers.allow(deliveries - due_by(kills));
        Ok(())
    }

    /// The last life, which nobody ends.
    pub(super) async fn last(&mut self) -> Result<(Service, Client), String> {
        let mut service = self.start(None)?;
        if let Some(client) = self.begin(&mut service).await? {
            return Ok((service, client));
        }
        // The end of a process that nobody killed is a problem that says what it is.
        service.ended().await?;
        Err("the last life was killed by somebody else".into())
    }

    /// How the lives ended, and when the service started after a kill.
    pub(super) fn end(self) -> (Tally, Vec<(Timestamp, Timestamp)>) {
        (self.tally, self.recoveries)
    }

    /// One life; tells how it ended.
    async fn live_once(&mut self, end: End) -> Result<&'static str, String> {
        let scripted = match end {
            End::DuringRequest(_) | End::AfterTimeOut => self.platforms.hold(),
            _ => self.platforms.misbehave(),
        };
        scripted.map_err(|error| error.to_string())?;
        let crash_at = match end {
            End::At(crash) => Some(crash),
            _ => None,
        };
        let mut service = self.start(crash_at)?;
        let listens = match end {
            End::WhileStarting(after) => {
                tokio::select! {
                    begun = self.begin(&mut service) => begun?.is_some(),
                    () = tokio::time::sleep(after) => false,
                }
            }
            _ => self.begin(&mut service).await?.is_some(),
        };
        let kind = match end {
            End::At(crash) if !listens => {
                service.ended().await?;
                return Ok(crash.point.as_str());
            }
            End::WhileStarting(_) => "while starting",
            _ if !listens => {
                service.ended().await?;
                return Err("the service was killed by somebody else".into());
            }
            _ => self.wait_for(end, &mut service).await?,
        };
        self.callers.serve(None);
        service.kill().await?;
        // Where the wait for it was given up.
        self.end_recovery();
        Ok(kind)
    }

    /// Starts the service, which then may find what the kill before it left behind: from here until it is ready or dead.
    fn start(&mut self, crash_at: Option<CrashAt>) -> Result<Service, String> {
        if self.killed_before {
            self.recoveries.push((self.clock.now(), Timestamp::MAX));
        }
        self.starter.start(crash_at)
    }

    fn end_recovery(&mut self) {
        if let Some((_, until)) = self.recoveries.last_mut() {
            *until = (*until).min(self.clock.now());
        }
    }

    /// Waits until the service is ready and shows it to the callers; none where it ended before.
    async fn begin(&mut self, service: &mut Service) -> Result<Option<Client>, String> {
        let address = service.address().await?;
        self.end_recovery();
        let Some(address) = address else {
            return Ok(None);
        };
        let client = client_of(address)?;
        self.callers.serve(Some(client.clone()));
        Ok(Some(client))
    }

    /// Waits for the moment to kill; tells what kind of moment it was.
    async fn wait_for(&self, end: End, service: &mut Service) -> Result<&'static str, String> {
        const SOME_MOMENT: &str = "at some moment";
        match end {
            End::WhileStarting(after) | End::AtSomeMoment(after) => {
                tokio::time::sleep(after).await;
                Ok(SOME_MOMENT)
            }
            End::At(crash) => match tokio::time::timeout(PATIENCE, service.ended()).await {
                Ok(ended) => ended.map(|()| crash.point.as_str()),
                Err(_) => Ok(SOME_MOMENT),
            },
            End::DuringRequest(after) => {
                let held = tokio::time::timeout(PATIENCE, self.platforms.until_held()).await;
                if held.is_err() {
                    return Ok(SOME_MOMENT);
                }
                tokio::time::sleep(after).await;
                Ok("during a request")
            }
            End::Frozen { after, still, then } => {
                tokio::time::sleep(after).await;
                service.freeze();
                tokio::time::sleep(still).await;
                service.thaw();
                tokio::time::sleep(then).await;
                Ok("after standing still")
            }
            End::AfterTimeOut => {
                tokio::time::sleep(REQUEST_TIMEOUT + PATIENCE).await;
                Ok("after a time-out")
            }
        }
    }
}

fn end_of(seed: u64, life: u64, kills: u64) -> End {
    let mut chance = Chance::of(seed, Purpose::Life, life);
    // It takes seconds, so it comes once in a hundred lives.
    if life % 100 == kills.min(100) / 2 {
        return End::AfterTimeOut;
    }
    let mut at = |point, most| {
        End::At(CrashAt {
            point,
            // At most ten, so it fits.
            time: u32::try_from(chance.among(1..=most)).unwrap_or(1),
        })
    };
    match Chance::of(seed, Purpose::Life, life).next() % 100 {
        // Far shorter than the service waits for an answer: an answer that lay there meanwhile is still read.
        0..=5 => End::Frozen {
            after: chance.milliseconds(50..=300),
            still: chance.milliseconds(50..=1200),
            then: chance.milliseconds(0..=300),
        },
        6..=27 => End::AtSomeMoment(chance.milliseconds(0..=500)),
        28..=35 => End::WhileStarting(chance.milliseconds(0..=80)),
        36..=49 => at(Point::BeforeCommit, 10),
        50..=63 => at(Point::AfterCommit, 10),
        64..=75 => at(Point::AfterAttemptRecord, 3),
        76..=87 => at(Point::AfterGatewayAnswer, 3),
        _ => End::DuringRequest(chance.milliseconds(0..=50)),
    }
}

fn client_of(address: SocketAddr) -> Result<Client, String> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    Ok(DeliveryServiceClient::new(endpoint.connect_lazy()))
}
