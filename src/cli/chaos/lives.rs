//! The lives of the service: each starts, works for a while, and is ended by SIGKILL at a moment that chance chooses.
//!
//! Must not know: what the callers ask, what the books say.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use tonic::{Status, transport::Channel};

use super::{
    callers::{Callers, Client},
    chance::{Chance, Purpose},
    ends::{End, Kind},
    faults::Weather,
    installation::{Installation, REQUEST_TIMEOUT},
    line::{self, Line},
    platforms::{FaultsMet, Platforms},
    process::{Service, Starter},
    quota::{Happened, Missing, What},
    samples::Wire,
    spells::{Spell, Spells},
};
use crate::{
    clock::{Clock as _, SystemClock},
    crash_points::CrashAt,
    grpc::proto::{WatchDeliveriesRequest, delivery_service_client::DeliveryServiceClient},
};

/// How long a life may last that waits for its point; then it is killed as it is.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Of how many lives one has something wrong on the way to a platform.
const LINES: u64 = 4;
/// Lives that may be added where a run has not been through enough, beside a fifth of its own.
const ADDED: u64 = 10;
/// How often it is looked whether something has happened.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What the service tells in its log when it knows that an account's credentials are rejected.
const REJECTED: &str = "rejects the account's credentials";
/// How often an account is asked to be resumed in the last life.
const RESUMPTIONS: u32 = 20;

/// What a life is to be.
#[derive(Debug, Clone, Copy)]
struct Fate {
    number: u64,
    kind: Kind,
    end: End,
    line: Option<(Wire, Line)>,
    weather: Weather,
    /// Over which wire a spell of wrong credentials is to begin at once.
    spell: Option<Wire>,
}

/// All lives of a run.
pub(super) struct Lives<'a> {
    seed: u64,
    platforms: &'a Platforms,
    installation: &'a Installation,
    starter: &'a Starter,
    callers: &'a Callers,
    clock: SystemClock,
    happened: Happened,
    spells: Spells,
    recoveries: Vec<(Timestamp, Timestamp)>,
    killed_before: bool,
}

/// What all lives left behind.
pub(super) struct Past {
    pub(super) happened: Happened,
    /// What has not happened often enough.
    pub(super) missing: Vec<Missing>,
    /// From when to when the service started after a kill.
    pub(super) recoveries: Vec<(Timestamp, Timestamp)>,
    pub(super) spells: Vec<Spell>,
}

impl<'a> Lives<'a> {
    pub(super) fn new(
        seed: u64,
        platforms: &'a Platforms,
        (installation, starter): (&'a Installation, &'a Starter),
        callers: &'a Callers,
    ) -> Self {
        Self {
            seed,
            platforms,
            installation,
            starter,
            callers,
            clock: SystemClock::new(),
            happened: Happened::default(),
            spells: Spells::new(seed),
            recoveries: Vec::new(),
            killed_before: false,
        }
    }

    /// The first life, in which nobody asks anything: the place in the log of changes from which all is told later.
    pub(super) async fn first(&mut self) -> Result<String, String> {
        let (service, mut client) = self.begin_well().await?;
        let begin = WatchDeliveriesRequest::default();
        let failed = |status: Status| format!("the changes cannot be watched: {status}");
        let watched = client.watch_deliveries(begin).await.map_err(failed)?;
        let first = watched.into_inner().message().await.map_err(failed)?;
        let token = first.ok_or("a watch ended at once")?.resume_token;
        self.callers.serve(None);
        service.kill().await?;
        Ok(token)
    }

    /// Lives and dies so many times, and lets the requests begin evenly over all lives, the last one included. Where something has
    /// not happened often enough by then, some lives are added.
    pub(super) async fn live(&mut self, kills: u64, deliveries: u64) -> Result<(), String> {
        let due_by = |life: u64| deliveries * life / (kills + 1);
        for life in 0..kills {
            self.callers.allow(due_by(life + 1) - due_by(life));
            let mut fate = Fate::of(self.seed, life, kills);
            if life % LINES == 1 && fate.kind != Kind::WhileStarting {
                let met = |wire, line| self.happened.lines.get(&(wire, line)).copied();
                fate.line = line::least_met(self.seed, life, |wire, line| {
                    met(wire, line).unwrap_or_default()
                });
            }
            self.live_once(fate).await?;
        }
        for life in kills..kills + kills / 5 + ADDED {
            self.take_stock();
            let missing = self.happened.missing(kills);
            let Some(missing) = missing.first() else {
                break;
            };
            self.callers.allow(due_by(1).max(1));
            self.live_once(Fate::with(missing, self.seed, life)).await?;
        }
        self.callers.allow(deliveries - due_by(kills));
        Ok(())
    }

    /// The last life, which nobody ends and in which all is well.
    pub(super) async fn last(&mut self) -> Result<(Service, Client), String> {
        self.platforms.behave().map_err(|error| error.to_string())?;
        self.break_the_way(None, None).await?;
        self.spells.end(self.platforms);
        let (service, client) = self.begin_well().await?;
        let channel = channel_of(service.listens_on()?)?;
        for _ in 0..RESUMPTIONS {
            if self.spells.resume(&channel).await {
                return Ok((service, client));
            }
        }
        Err("an account cannot be resumed".into())
    }

    async fn begin_well(&mut self) -> Result<(Service, Client), String> {
        let mut service = self.start(None)?;
        if let Some(client) = self.begin(&mut service).await? {
            return Ok((service, client));
        }
        // The end of a process that nobody killed is a problem that says what it is.
        service.ended().await?;
        Err("the last life was killed by somebody else".into())
    }

    /// What they were.
    pub(super) fn end(mut self, kills: u64) -> Past {
        self.take_stock();
        Past {
            missing: self.happened.missing(kills),
            happened: self.happened,
            recoveries: self.recoveries,
            spells: self.spells.all().to_vec(),
        }
    }

    /// What the platforms have met.
    fn take_stock(&mut self) {
        self.happened.faults = self.platforms.faults_met();
        self.happened.closures = self.spells.kept();
    }

    /// One life.
    async fn live_once(&mut self, fate: Fate) -> Result<(), String> {
        let scripted = match fate.end {
            End::DuringRequest(_) | End::AfterTimeOut => self.platforms.hold(),
            _ => self.platforms.misbehave(fate.weather),
        };
        scripted.map_err(|error| error.to_string())?;
        self.spells.turn(fate.number, fate.spell, self.platforms);
        // Some are over while the service lives, which is not to need a start to go on.
        let mut chance = Chance::of(self.seed, Purpose::Line, fate.number);
        let may_heal = !matches!(fate.end, End::OnceItHappened(_));
        let heals = chance.percent(50) && may_heal;
        let lasts = heals.then(|| chance.milliseconds(300..=800));
        self.break_the_way(fate.line, lasts).await?;
        let log = self.starter.log_length();
        let kind = self.live_and_die(fate, log).await?;
        self.happened.kills.count(kind);
        self.killed_before = true;
        if self.starter.told_since(log, &[REJECTED]) > 0 {
            self.spells.keep();
        }
        if let Some((wire, line)) = fate.line {
            let told = self.starter.told_since(log, line.told_as());
            *self.happened.lines.entry((wire, line)).or_default() += told;
        }
        Ok(())
    }

    /// The way to one platform is broken like this, for so long; all else is well.
    async fn break_the_way(
        &self,
        broken: Option<(Wire, Line)>,
        lasts: Option<Duration>,
    ) -> Result<(), String> {
        let at = |wire| broken.filter(|(at, _)| *at == wire).map(|(_, line)| line);
        self.installation
            .point_to(|wire| self.platforms.endpoint(wire, at(wire)))
            .map_err(|error| format!("cannot write the installation: {error}"))?;
        self.platforms.line(broken, lasts).await
    }

    /// Lives and is killed; tells how.
    async fn live_and_die(&mut self, fate: Fate, log: u64) -> Result<Kind, String> {
        let end = fate.end;
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
            End::At(_) if !listens => {
                service.ended().await?;
                return Ok(fate.kind);
            }
            End::WhileStarting(_) => fate.kind,
            _ if !listens => {
                service.ended().await?;
                return Err("the service was killed by somebody else".into());
            }
            _ => {
                // Where it fails, as because the service has just killed itself, a later life is asked.
                let channel = channel_of(service.listens_on()?)?;
                self.spells.resume(&channel).await;
                self.wait_for(fate, log, &mut service).await?
            }
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
        let client = DeliveryServiceClient::new(channel_of(address)?);
        self.callers.serve(Some(client.clone()));
        Ok(Some(client))
    }

    /// Waits for the moment to kill; tells what kind of moment it was.
    async fn wait_for(&self, fate: Fate, log: u64, service: &mut Service) -> Result<Kind, String> {
        match fate.end {
            End::WhileStarting(after) | End::AtSomeMoment(after) => {
                tokio::time::sleep(after).await;
            }
            End::At(_) => match tokio::time::timeout(PATIENCE, service.ended()).await {
                Ok(ended) => ended?,
                Err(_) => return Ok(Kind::AtSomeMoment),
            },
            End::DuringRequest(after) => {
                let held = tokio::time::timeout(PATIENCE, self.platforms.until_held()).await;
                if held.is_err() {
                    return Ok(Kind::AtSomeMoment);
                }
                tokio::time::sleep(after).await;
            }
            End::Frozen { after, still, then } => {
                tokio::time::sleep(after).await;
                service.freeze();
                tokio::time::sleep(still).await;
                service.thaw();
                tokio::time::sleep(then).await;
            }
            End::AfterTimeOut => tokio::time::sleep(REQUEST_TIMEOUT + PATIENCE).await,
            End::OnceItHappened(what) => {
                let faults = self.platforms.faults_met();
                let begin = self.clock.uptime();
                while self.clock.uptime() < begin + PATIENCE * 2
                    && !self.has_happened(what, log, &faults)
                {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        Ok(fate.kind)
    }

    /// Whether it has, since the log was so long and these faults had been met.
    fn has_happened(&self, what: What, log: u64, before: &FaultsMet) -> bool {
        match what {
            What::Kill(_) => true,
            What::Fault(wire, name) => {
                let met = |met: &FaultsMet| met[&wire].get(name).copied();
                met(&self.platforms.faults_met()) > met(before)
            }
            What::Line(_, line) => self.starter.told_since(log, line.told_as()) > 0,
            What::Credentials(_) => self.starter.told_since(log, &[REJECTED]) > 0,
        }
    }
}

impl Fate {
    /// That of this life of so many.
    fn of(seed: u64, number: u64, kills: u64) -> Self {
        let kind = Kind::of(seed, number, kills);
        Self {
            number,
            kind,
            end: kind.end(seed, number),
            line: None,
            weather: Weather::Changing,
            spell: None,
        }
    }

    /// That of a life in which what is missing is to happen.
    fn with(missing: &Missing, seed: u64, number: u64) -> Self {
        let fate = Self {
            number,
            kind: Kind::AtSomeMoment,
            end: End::OnceItHappened(missing.what),
            line: None,
            weather: Weather::Changing,
            spell: None,
        };
        match missing.what {
            What::Kill(kind) => Self {
                kind,
                end: kind.end(seed, number),
                ..fate
            },
            What::Fault(..) => Self {
                weather: Weather::Storm,
                ..fate
            },
            What::Line(wire, line) => Self {
                line: Some((wire, line)),
                ..fate
            },
            What::Credentials(wire) => Self {
                spell: Some(wire),
                ..fate
            },
        }
    }
}

fn channel_of(address: SocketAddr) -> Result<Channel, String> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    Ok(endpoint.connect_lazy())
}
