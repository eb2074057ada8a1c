//! What reports come to is counted, for each account and each effect; also what belongs to nothing, when that has become certain.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use clave_otp::{
    clock::{Clock as _, ManualClock, SystemClock},
    domain::DeliveryId,
    grpc::proto::{CreateDeliveryRequest, Delivery, DeliveryState, ListDeliveriesRequest},
    simulator::{Action, Match, ReportStep, Script},
};
use mockito::Server;

use crate::{
    certified,
    reported::{report_url, set, speak, until},
    simulator::client,
    simulator_soap::text_of,
    support::{TestApp, request_at, request_to, soon},
};

/// A report of this message id as a platform would write it over this protocol.
fn delivered(protocol: &str, message_id: &str) -> String {
    match protocol {
        "soap" => include_str!("../golden/soap/callback-delivered.xml")
            .replace("mi-0001-canary", message_id),
        _ => include_str!("../golden/rest/callback-delivered.json")
            .replace("mi-0001-canary", message_id),
    }
}

/// Status and body of the answer to what a platform tells.
async fn tell(url: &str, media_type: &str, body: impl Into<String>) -> (u16, String) {
    let sent = client()
        .post(url)
        .header("content-type", media_type)
        .body(body.into());
    let answer = sent.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Tells it, and it is acknowledged with success, as the protocol has it.
async fn acknowledged(url: &str, protocol: &str, body: &str) {
    if protocol == "soap" {
        let (status, answer) = tell(url, "text/xml", body).await;
        let code = text_of(&answer, "StatusCode");
        assert_eq!((status, code.as_deref()), (200, Some("1000")), "{answer}");
    } else {
        let (status, answer) = tell(url, "application/json", body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["statusCode"]), (200, &1000.into()));
    }
}

async fn all_deliveries(app: &mut TestApp) -> Vec<Delivery> {
    let listed = app.client.list_deliveries(ListDeliveriesRequest::default());
    listed.await.unwrap().into_inner().deliveries
}

type Effects = BTreeMap<String, u64>;

/// The counter of Madrid's account, by effect.
async fn effects(app: &TestApp) -> Effects {
    let page = app.metrics().await;
    let counted = page.lines().filter_map(|line| {
        let labels = "clave_otp_reports_total{account=\"madrid-mn\",effect=\"";
        let (effect, value) = line.strip_prefix(labels)?.split_once("\"} ")?;
        Some((effect.to_owned(), value.parse().unwrap()))
    });
    counted.collect()
}

/// How long a report waits for its delivery to be known, unless configured otherwise.
const KEPT: Duration = Duration::from_secs(15 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_an_unknown_id_is_acknowledged_changes_nothing_and_is_counted_when_given_up() {
    for protocol in ["soap", "rest"] {
        let clock = ManualClock::at(SystemClock::new().now());
        let script = Script::new().on(Match::always(), Action::NoReport);
        let simulated = Arc::new(clock.clone());
        let mut app = TestApp::start_with(script, simulated, |files| speak(files, protocol)).await;
        let accepted = app.accepted(request_at(clock.now())).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        let deliveries = all_deliveries(&mut app).await;
        // Counters are the process's: the protocol before has counted too.
        let before = effects(&app).await;
        let since = async |app: &TestApp| {
            let now = effects(app).await;
            let of = |effect: &str| {
                let count = |effects: &Effects| effects.get(effect).copied().unwrap_or_default();
                count(&now) - count(&before)
            };
            (of("early"), of("unknown"))
        };
        let url = report_url(&mut app).await;
        for id in ["nobody-1", "nobody-2"] {
            acknowledged(&url, protocol, &delivered(protocol, id)).await;
        }
        let step = Duration::from_secs(5);
        let waiting = "clave_otp_reports_early 2\n";
        let (mut passed, mut was_seen_waiting) = (Duration::ZERO, false);
        while passed < KEPT {
            assert_eq!(
                since(&app).await,
                (2, 0),
                "{protocol}: too early at {passed:?}"
            );
            was_seen_waiting |= app.metrics().await.contains(waiting);
            clock.advance(step);
            passed += step;
        }
        assert!(was_seen_waiting, "it was looked at meanwhile");
        // Somebody looks once a minute.
        soon(async {
            while since(&app).await != (2, 2) {
                clock.advance(step);
            }
        })
        .await;
        app.until_metrics(&["clave_otp_reports_early 0\n".into()])
            .await;
        assert_eq!(all_deliveries(&mut app).await, deliveries, "{protocol}");
        // Told again, it is a new one.
        acknowledged(&url, protocol, &delivered(protocol, "nobody-1")).await;
        assert_eq!(since(&app).await, (3, 2), "{protocol}");
    }
}

/// Does something; of all effects of reports this one alone is counted, once.
async fn counts<T>(app: &TestApp, effect: &str, doing: impl Future<Output = T>) -> T {
    let mut expected = effects(app).await;
    let done = doing.await;
    *expected.entry(effect.to_owned()).or_default() += 1;
    assert_eq!(effects(app).await, expected, "{effect}");
    done
}

/// All that comes of reports of codes.
async fn count_reports_of_codes(protocol: &str) {
    let clock = ManualClock::at(SystemClock::new().now());
    let script = Script::new().on(Match::always(), Action::NoReport);
    let simulated = Arc::new(clock.clone());
    let mut app = TestApp::start_with(script, simulated, |files| {
        speak(files, protocol);
        let limits = "[reports]\nearly_limit = 1\nmax_per_delivery = 2\n";
        files.change("service.toml", "[reports]\n", limits);
        set(files, "window_minutes = 1");
    })
    .await;
    let (mut messages, mut last) = (Vec::new(), String::new());
    for citizen in [1, 2] {
        let request = CreateDeliveryRequest {
            recipient: request_to(citizen).recipient,
            ..request_at(clock.now())
        };
        let accepted = app.accepted(request).await;
        until(&mut app, &accepted.name, DeliveryState::Sent).await;
        messages.push(app.simulator.ledger().messages().pop().unwrap());
        last = accepted.name;
    }
    let url = report_url(&mut app).await;
    let step = ReportStep::of;
    for (effect, report) in [
        ("noted", step("Retrieved")),
        ("repeated", step("Retrieved")),
        (
            "another_recipient",
            step("Delivered").recipient("699999999"),
        ),
        ("settled", step("Delivered")),
        ("too_many", step("Rejected")),
    ] {
        let sent = app.simulator.send_report(&messages[0], report);
        let answer = counts(&app, effect, sent).await.unwrap();
        assert_eq!(answer.status(), Some(200), "{effect}");
    }
    count_what_belongs_to_nothing(&app, protocol, &url).await;
    clock.advance(Duration::from_secs(60));
    let late = app.simulator.send_report(&messages[1], "Delivered");
    let answer = counts(&app, "late", late).await.unwrap();
    assert_eq!(answer.status(), Some(200), "{protocol}");
    let state = app.get(&last).await.state();
    assert_eq!(state, DeliveryState::Sent, "{protocol}: too late");

    let database = app.files.path("data/clave-otp.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let fails =
        "CREATE TRIGGER fails BEFORE INSERT ON reports BEGIN SELECT RAISE(ABORT, 'no'); END";
    database.execute_batch(fails).unwrap();
    let refused = app.simulator.send_report(&messages[1], "Rejected");
    let answer = counts(&app, "not_kept", refused).await.unwrap();
    assert_eq!(answer.status(), Some(503), "it is asked for again");
}

/// What comes to the account's address and finds no delivery.
async fn count_what_belongs_to_nothing(app: &TestApp, protocol: &str, url: &str) {
    let nowhere = format!("{url}/{}", DeliveryId::new(SystemClock::new().now()));
    let (first, second) = (
        delivered(protocol, "nobody-1"),
        delivered(protocol, "nobody-2"),
    );
    let hidden = first.replace("+34600000001", "oculto");
    let (media_type, citizen_answer) = match protocol {
        "soap" => (
            "text/xml",
            include_str!("../golden/soap/callback-citizen-answer.xml"),
        ),
        _ => (
            "application/json",
            include_str!("../golden/rest/callback-citizen-answer.json"),
        ),
    };
    for (effect, url, body) in [
        ("early", url, first.as_str()),
        ("too_many_early", url, &second),
        ("unknown", nowhere.as_str(), &first),
        ("citizen_answer", url, citizen_answer),
        ("report_about_no_message", url, &delivered(protocol, " ")),
        ("report_about_no_number", url, &hidden),
    ] {
        let (status, _) = counts(app, effect, tell(url, media_type, body)).await;
        assert_eq!(status, 200, "{protocol} {effect}");
    }
}

/// All that comes of callbacks about certified messages. A page of metrics tells what the whole process has counted.
async fn count_callbacks_of_certified_messages() -> BTreeSet<String> {
    let mut platform = Server::new_async().await;
    let html = "<html>en mantenimiento</html>";
    certified::answering(&mut platform, "EnviarSMSCERTIFICADO", html).await;
    let mut story = certified::start(&platform, |files| {
        let limit = "[certified]\nevents_per_message = 10\n\n[store]";
        files.change("service.toml", "[store]", limit);
    })
    .await;
    let message = story.sent(certified::request()).await;
    let url = report_url(&mut story.app).await;
    let state = |number: &str, state: u32| {
        let reference = message.name.strip_prefix("certifiedMessages/").unwrap();
        format!(
            "{{\"Servicio\":\"SMSCERTIFICADO\",\"Resultado\":{state},\"Movil\":{number},\"Fecha\":\"2026-11-24 11:14:24\",\
             \"idMensaje\":77,\"Referencia\":\"c-{reference}\"}}"
        )
    };
    let own = "34600000001";
    let unknown = state(own, 13)
        .replace("Referencia", "Otra")
        .replace("77", "99");
    let attachment = include_str!("../golden/mensatek/callback-attachment-event.json");
    let voice = include_str!("../golden/mensatek/callback-unknown-service.json");
    let mut told = vec![
        ("certified_another_recipient", state("34600000009", 1)),
        ("certified_settled", state(own, 1)),
        ("certified_repeated", state(own, 1)),
        ("unknown_service", voice.to_owned()),
        ("attachment_event", attachment.to_owned()),
    ];
    told.extend((2..11).map(|number| ("certified_kept", state(own, number))));
    told.push(("certified_too_many", state(own, 11)));
    let event = attachment.replace("Referencia", "Otra");
    told.push(("certified_unknown", event));
    // Of a certified message or of a code: nobody can know, and it may still become known.
    told.push(("early", unknown));
    for (effect, body) in told {
        let telling = tell(&url, "application/json", body);
        let (status, _) = counts(&story.app, effect, telling).await;
        assert_eq!(status, 200, "{effect}");
    }
    effects(&story.app).await.into_keys().collect()
}

/// The effects that the row of the counter tells.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../docs/METRICS.md");
    let mut rows = page.lines();
    let row = rows.find(|row| row.starts_with("| `clave_otp_reports_total`"));
    let meaning = row.unwrap().split(" | ").nth(3).unwrap();
    let meaning = meaning.split(". See below").next().unwrap();
    let words = meaning.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// What the source can count a report as.
fn in_the_source() -> BTreeSet<String> {
    let words = |source: &str, before: &str| -> Vec<String> {
        let code = source.split("mod tests {").next().unwrap_or_default();
        let parts = code.split(before).skip(1);
        let words = parts.filter_map(|rest| rest.split('"').next());
        words.map(str::to_owned).collect()
    };
    let of_reports = words(include_str!("../../src/store/reports.rs"), "=> \"");
    let of_certified = words(
        include_str!("../../src/store/certified.rs"),
        "=> \"certified_",
    );
    let certified = of_certified.iter().map(|word| format!("certified_{word}"));
    let dropped = [
        include_str!("../../src/gateway/callbacks.rs"),
        include_str!("../../src/gateway/mensatek/notices.rs"),
    ];
    let dropped = dropped.map(|source| words(source, "Callback::Dropped(\""));
    let at_the_desk = words(
        include_str!("../../src/reports/desk.rs"),
        "count(account, \"",
    );
    let all = of_reports.into_iter().chain(certified);
    all.chain(dropped.concat()).chain(at_the_desk).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_effect_that_exists_is_counted_once_for_what_it_says_and_documented() {
    for protocol in ["soap", "rest"] {
        count_reports_of_codes(protocol).await;
    }
    let counted = count_callbacks_of_certified_messages().await;
    assert_eq!(counted, in_the_source());
    assert_eq!(documented(), in_the_source());
}
