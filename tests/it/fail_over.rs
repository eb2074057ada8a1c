//! What one account of an administration cannot send, another one sends: only what was certainly not sent, only in time, and the
//! sick one gets its codes back little by little.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clave_otp::{
    clock::{Clock, ManualClock, SystemClock},
    domain::Sender,
    grpc::proto::{
        CreateDeliveryRequest, Delivery, DeliveryState, GetAccountRequest, LaneState,
        PauseAccountRequest, PreviewDeliveryRequest, ResumeAccountRequest,
    },
    simulator::{Account, Accounts, Action, Gate, Match, Script, Simulator, SimulatorOptions},
};

use crate::support::{
    Files, MADRID_LOGIN, PASSWORD, TestApp, platform_at, request, request_at, request_to, soon,
};

pub(crate) const FIRST: &str = "accounts/madrid-mn";
pub(crate) const SECOND: &str = "accounts/madrid-two";
const SECOND_LOGIN: &str = "99887766-madridtwo";

/// Where nothing listens: a connection is refused at once.
const NOWHERE: &str = "http://127.0.0.1:9/SrvConexion";

pub(crate) async fn second_platform(script: Script) -> Simulator {
    let senders = [Sender::Common];
    let accounts = Accounts::listed([Account::new(SECOND_LOGIN, PASSWORD.into(), senders)]);
    let options = SimulatorOptions::new(accounts, Arc::new(SystemClock::new()))
        .script(script)
        .keep_all_messages();
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    Simulator::start(address, options).await.unwrap()
}

/// Gives Madrid a second account, whose only sender is the number common to all.
fn add_second(files: &Files, endpoint: &str) {
    let second = format!(
        "[[accounts]]\nid = \"madrid-two\"\ngateway = \"mensajeria-negocios\"\nendpoint = \"{endpoint}\"\n\
         api_user = \"{SECOND_LOGIN}\"\npassword_file = \"../madrid.password\"\nsenders = [\"217812\"]\n\n[[aliases]]"
    );
    files.change("administrations/madrid.toml", "[[aliases]]", &second);
}

/// An installation whose first account has its platform at `first`, or its own simulator where there is none.
async fn start(first: Option<&str>, script: Script, second: &Simulator) -> TestApp {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    start_at(first, script, second, clock).await
}

pub(crate) async fn start_at(
    first: Option<&str>,
    script: Script,
    second: &Simulator,
    clock: Arc<dyn Clock>,
) -> TestApp {
    TestApp::start_with(script, clock, |files| {
        add_second(files, &second.endpoint());
        if let Some(first) = first {
            let text = std::fs::read_to_string(files.path("administrations/madrid.toml")).unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with("endpoint = "))
                .unwrap();
            let there = format!("endpoint = \"{first}\"");
            files.change("administrations/madrid.toml", line, &there);
        }
    })
    .await
}

pub(crate) fn way(delivery: &Delivery) -> (&str, &str, DeliveryState) {
    (&delivery.account, &delivery.sender, delivery.state())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_reach_one_platform_goes_out_on_the_other_account_under_its_sender() {
    let second = second_platform(Script::new()).await;
    let mut app = start(Some(NOWHERE), Script::new(), &second).await;
    let accepted = app.accepted(request()).await;
    assert_eq!(accepted.account, FIRST);
    let delivery = app.follow(&accepted.name).await.1;
    assert_eq!(way(&delivery), (SECOND, "217812", DeliveryState::Sent));
    assert_eq!(delivery.attempts, 2, "one there, in vain, and one here");
    assert_eq!(second.ledger().message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_account_is_offered_less_and_less_and_nobody_is_refused() {
    let second = second_platform(Script::new()).await;
    let mut app = start(Some(NOWHERE), Script::new(), &second).await;
    let mut at_once = 0;
    for citizen in 1..=40 {
        let delivery = app.ends(request_to(citizen)).await;
        assert_eq!(way(&delivery), (SECOND, "217812", DeliveryState::Sent));
        at_once += usize::from(delivery.attempts == 1);
    }
    // Three failures make the first lane rest; then only what it is tried with goes there first.
    assert!(at_once >= 25, "{at_once} of 40 went to the second at once");
    assert_eq!(second.ledger().message_count(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_is_not_sent_on_the_other_account() {
    let second = second_platform(Script::new()).await;
    let script = Script::new().on(Match::always(), Action::DropAfterReading);
    let mut app = start(None, script, &second).await;
    let delivery = app.ends(request()).await;
    assert_eq!(
        way(&delivery),
        (FIRST, "ClaveMadrid", DeliveryState::Uncertain)
    );
    assert_eq!(second.ledger().message_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_one_platform_refuses_is_not_tried_on_the_other() {
    let second = second_platform(Script::new()).await;
    let script = Script::new().on(Match::phone("600000001"), Action::Code(-5));
    let mut app = start(None, script, &second).await;
    let delivery = app.ends(request()).await;
    assert_eq!(
        way(&delivery),
        (FIRST, "ClaveMadrid", DeliveryState::Failed)
    );
    assert_eq!(second.ledger().message_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_of_one_account_hold_up_nobody() {
    let second = second_platform(Script::new()).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        add_second(files, &second.endpoint());
        files.secret("wrong.password", "una-clave-equivocada");
        let first = "request_timeout_ms = 15000";
        let told = "request_timeout_ms = 15000\n[accounts.codes]\n\"-1\" = { reason = \"WRONG_LOGIN\", effect = \"credentials\" }";
        files.change("administrations/madrid.toml", first, told);
        let text = std::fs::read_to_string(files.path("administrations/madrid.toml")).unwrap();
        let text = text.replacen("../madrid.password", "../wrong.password", 1);
        files.put("administrations/madrid.toml", &text);
    })
    .await;
    for citizen in 1..=5 {
        let delivery = app.ends(request_to(citizen)).await;
        assert_eq!(way(&delivery), (SECOND, "217812", DeliveryState::Sent));
    }
    let ledger = app.simulator.ledger().clone();
    assert_eq!(ledger.wrong_logins(MADRID_LOGIN), 1, "presented once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_pause_goes_out_on_the_other_account() {
    let second = second_platform(Script::new()).await;
    let gate = Gate::new();
    let script = Script::new().on(Match::always(), Action::Hold(gate.clone()));
    let mut app = start(None, script, &second).await;
    let on_its_way = app.accepted(request_to(1)).await;
    soon(app.simulator.ledger().until_held(1)).await;
    let waiting = app.accepted(request_to(2)).await;
    assert_eq!(waiting.account, FIRST);
    let pause = PauseAccountRequest { name: FIRST.into() };
    app.accounts.pause_account(pause).await.unwrap();
    // What comes now does not even try.
    let next = app.ends(request_to(3)).await;
    assert_eq!(way(&next), (SECOND, "217812", DeliveryState::Sent));
    gate.open();
    let first = app.follow(&on_its_way.name).await.1;
    assert_eq!(way(&first), (FIRST, "ClaveMadrid", DeliveryState::Sent));
    let moved = app.follow(&waiting.name).await.1;
    assert_eq!(way(&moved), (SECOND, "217812", DeliveryState::Sent));
    assert_eq!(app.simulator.ledger().message_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_the_caller_asks_for_is_kept_or_the_code_waits() {
    let second = second_platform(Script::new()).await;
    let mut app = start(Some(NOWHERE), Script::new(), &second).await;
    let asked = |sender: &str, citizen| CreateDeliveryRequest {
        sender: sender.into(),
        ..request_to(citizen)
    };
    let common = app.ends(asked("217812", 1)).await;
    assert_eq!(way(&common), (SECOND, "217812", DeliveryState::Sent));
    // The alias is the first account's alone: there is no other way, however long it takes.
    let alias = app.accepted(asked("ClaveMadrid", 2)).await;
    let third = app.ends(asked("217812", 3)).await;
    assert_eq!(third.state(), DeliveryState::Sent);
    let waits = app.get(&alias.name).await;
    assert_eq!(
        (waits.account.as_str(), waits.sender.as_str()),
        (FIRST, "ClaveMadrid")
    );
    assert!(!matches!(waits.state(), DeliveryState::Sent));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administration_may_want_no_fail_over() {
    let second = second_platform(Script::new()).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let mut app = TestApp::start_with(Script::new(), clock, |files| {
        add_second(files, &second.endpoint());
        let language = "default_language = \"es\"";
        let off = "default_language = \"es\"\nfail_over = false";
        files.change("administrations/madrid.toml", language, off);
    })
    .await;
    let pause = PauseAccountRequest { name: FIRST.into() };
    app.accounts.pause_account(pause).await.unwrap();
    let (_, reason) = app.refused(request()).await;
    assert_eq!(reason, "ACCOUNT_PAUSED");
    assert_eq!(second.ledger().request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_lane_shows_in_the_metrics_at_once_although_nobody_is_refused() {
    let second = second_platform(Script::new()).await;
    let mut app = start(None, Script::new(), &second).await;
    let closed = |value| {
        let labels = "account=\"madrid-mn\",cause=\"paused\"";
        format!("clave_otp_lane_closed{{{labels}}} {value}\n")
    };
    let share = |value| format!("clave_otp_lane_share{{account=\"madrid-mn\"}} {value}\n");
    app.until_metrics(&[closed(0), share(1)]).await;
    let name = || FIRST.to_owned();
    let pause = PauseAccountRequest { name: name() };
    app.accounts.pause_account(pause).await.unwrap();
    app.until_metrics(&[closed(1), share(0)]).await;
    assert_eq!(app.ends(request()).await.account, SECOND);
    let resume = ResumeAccountRequest { name: name() };
    app.accounts.resume_account(resume).await.unwrap();
    app.until_metrics(&[closed(0), share(1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_the_way_that_a_code_would_take_now() {
    let second = second_platform(Script::new()).await;
    let mut app = start(None, Script::new(), &second).await;
    let asked = request();
    let preview = PreviewDeliveryRequest {
        administration: asked.administration,
        recipient: asked.recipient,
        code: asked.code,
        purpose: asked.purpose,
        language: asked.language,
        expire_time: asked.expire_time,
        ..PreviewDeliveryRequest::default()
    };
    let told = app
        .client
        .preview_delivery(preview.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (told.account.as_str(), told.sender.as_str()),
        (FIRST, "ClaveMadrid")
    );
    let pause = PauseAccountRequest { name: FIRST.into() };
    app.accounts.pause_account(pause).await.unwrap();
    let told = soon(async {
        loop {
            let told = app
                .client
                .preview_delivery(preview.clone())
                .await
                .unwrap()
                .into_inner();
            // The lane takes note of the pause when it is woken.
            if told.account == SECOND {
                break told;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(told.sender, "217812");
}

/// Codes for citizens of their own, on a clock that stands still until it is told to move.
pub(crate) struct Stream {
    pub(crate) app: TestApp,
    pub(crate) clock: ManualClock,
    pub(crate) citizen: u32,
}

impl Stream {
    pub(crate) async fn accepted(&mut self) -> Delivery {
        self.citizen += 1;
        let recipient = format!("+34600000{:03}", self.citizen);
        let request = CreateDeliveryRequest {
            recipient,
            ..request_at(self.clock.now())
        };
        self.app.accepted(request).await
    }

    /// Follows a code to its end; the clock moves on in small steps where a lane waits for it.
    pub(crate) async fn end(&mut self, name: &str) -> Delivery {
        let mut following = Box::pin(self.app.follow(name));
        loop {
            let patience = Duration::from_millis(100);
            match tokio::time::timeout(patience, &mut following).await {
                Ok((_, delivery)) => return delivery,
                Err(_) => self.clock.advance(Duration::from_millis(500)),
            }
        }
    }

    /// Fifty codes, and how many of them the first account is given now.
    async fn fifty(&mut self) -> (Vec<Delivery>, u32) {
        let mut accepted = Vec::new();
        for _ in 0..50 {
            accepted.push(self.accepted().await);
        }
        let to_first = accepted.iter().filter(|code| code.account == FIRST).count();
        (accepted, u32::try_from(to_first).unwrap())
    }

    /// How many of fifty codes the first account is given now; all of them go out without waiting for the clock.
    async fn of_fifty(&mut self) -> u32 {
        let (accepted, to_first) = self.fifty().await;
        for code in accepted {
            let sent = self.app.follow(&code.name).await.1;
            assert_eq!(sent.state(), DeliveryState::Sent);
            assert_eq!(sent.account, code.account, "what is well keeps its codes");
        }
        to_first
    }

    pub(crate) async fn lane_of_first(&mut self) -> LaneState {
        let name = FIRST.into();
        let account = self.app.accounts.get_account(GetAccountRequest { name });
        account
            .await
            .unwrap()
            .into_inner()
            .account
            .unwrap()
            .lane_state()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_well_again_gets_its_codes_back_little_by_little_and_keeps_some_when_it_stumbles()
 {
    let second = second_platform(Script::new()).await;
    // A port where nothing listens yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|reserved| reserved.local_addr())
        .unwrap();
    let clock = ManualClock::at(SystemClock::new().now());
    let (there, shared) = (
        format!("http://{address}/SrvConexion"),
        Arc::new(clock.clone()),
    );
    let app = start_at(Some(&there), Script::new(), &second, shared).await;
    let mut stream = Stream {
        app,
        clock: clock.clone(),
        citizen: 0,
    };
    while stream.lane_of_first().await != LaneState::Resting {
        let code = stream.accepted().await;
        assert_eq!(stream.end(&code.name).await.account, SECOND);
    }
    assert_eq!(stream.of_fifty().await, 0, "a lane that rests gets nothing");

    let stumbles = Action::HttpStatus {
        status: 503,
        retry_after: None,
    };
    let script = Script::new().on(Match::phone("600000999"), stumbles);
    let first = platform_at(address, script).await;
    // It is tried with one code, once its rest is over.
    loop {
        let code = stream.accepted().await;
        if stream.end(&code.name).await.account == FIRST {
            break;
        }
        clock.advance(Duration::from_secs(5));
    }
    assert_eq!(first.ledger().message_count(), 1);
    // A tenth, and a tenth more every five seconds; which code goes where is drawn, so not to the code.
    let mut given = Vec::new();
    for tenths in 1..=10 {
        let of_fifty = stream.of_fifty().await;
        let expected = tenths * 5;
        assert!(
            of_fifty.abs_diff(expected) <= 20,
            "{of_fifty} at {tenths}/10, after {given:?}"
        );
        given.push(of_fifty);
        clock.advance(Duration::from_secs(5));
    }
    assert!(given[0] < 25, "not all at once: {given:?}");
    assert_eq!(given[9], 50, "all of them again: {given:?}");

    // One failure takes half, not all.
    stream.citizen = 998;
    let code = stream.accepted().await;
    assert_eq!(code.account, FIRST);
    assert_eq!(
        way(&stream.end(&code.name).await),
        (SECOND, "217812", DeliveryState::Sent)
    );
    stream.citizen = 600;
    let (accepted, of_fifty) = stream.fifty().await;
    assert!((5..=45).contains(&of_fifty), "{of_fifty}");
    for code in accepted {
        assert_eq!(stream.end(&code.name).await.account, code.account);
    }
    clock.advance(Duration::from_secs(25));
    assert_eq!(stream.of_fifty().await, 50);
}
