//! What the stories of the reports' port need: a platform whose answers and notices are the golden files, byte for byte, over
//! SOAP and over REST, and the real program with one code that it took.

use std::fmt;

use clave_otp::{
    domain::DeliveryId,
    grpc::proto::{Delivery, DeliveryState},
    simulator::ReceivedMessage,
};
use mockito::{Matcher, Server, ServerGuard};
use url::Url;

use crate::{
    gateway_common,
    reported::speak,
    simulator::client,
    support::{
        Files,
        process::{Process, serve},
        request,
    },
};

/// The message id of the golden files, as the platform answers it and names it later.
pub const MESSAGE_ID: &str = "mi-0001-canary";

/// A protocol that brings reports, where its bytes differ from the other's.
#[derive(Debug)]
pub struct Spoken {
    /// Its name in the configuration, and the folder of its golden files.
    pub protocol: &'static str,
    /// How the names of its golden files end.
    ending: &'static str,
    /// What the platform's notices call themselves.
    pub media_type: &'static str,
    /// What the other protocol's do.
    pub other_media_type: &'static str,
    /// What our answers call themselves.
    answer_type: &'static str,
    report_taken: &'static str,
    citizens_answer_taken: &'static str,
    /// What stands before the word for a problem in the name of a refusal's golden file.
    refusal: &'static str,
}

pub const BOTH: [Spoken; 2] = [
    Spoken {
        protocol: "soap",
        ending: "xml",
        media_type: "text/xml",
        other_media_type: "application/json",
        answer_type: "text/xml; charset=utf-8",
        report_taken: "acknowledgement-report",
        citizens_answer_taken: "acknowledgement-citizen-answer",
        refusal: "acknowledgement-fault",
    },
    Spoken {
        protocol: "rest",
        ending: "json",
        media_type: "application/json",
        other_media_type: "text/xml",
        answer_type: "application/json",
        report_taken: "acknowledgement",
        citizens_answer_taken: "acknowledgement",
        refusal: "acknowledgement",
    },
];

impl Spoken {
    /// A golden file of the protocol, told by its name without its ending.
    pub fn golden(&self, name: &str) -> Vec<u8> {
        gateway_common::golden(&format!("{}/{name}.{}", self.protocol, self.ending))
    }

    /// The report of the golden files with this word, about a message that was really submitted.
    pub fn report(&self, message: &ReceivedMessage, status: &str) -> Vec<u8> {
        let golden = String::from_utf8(self.golden("callback-delivered")).unwrap();
        let id = message.message_id.as_deref().unwrap();
        let number = format!("+34{}", message.phone.expose());
        for part in [MESSAGE_ID, "+34600000001", "Delivered"] {
            assert_eq!(golden.matches(part).count(), 1, "{part}");
        }
        let report = golden
            .replace(MESSAGE_ID, id)
            .replace("+34600000001", &number);
        report.replace("Delivered", status).into()
    }

    fn answer(&self, status: u16, golden: &str) -> Answer {
        Answer {
            status,
            content_type: self.answer_type.into(),
            body: self.golden(golden),
        }
    }

    /// How a report is acknowledged.
    pub fn report_taken(&self) -> Answer {
        self.answer(200, self.report_taken)
    }

    /// How a citizen's answer is acknowledged.
    pub fn citizens_answer_taken(&self) -> Answer {
        self.answer(200, self.citizens_answer_taken)
    }

    /// How what is no report is refused.
    pub fn refused(&self, status: u16, problem: &str) -> Answer {
        let word = problem.replace('_', "-");
        self.answer(status, &format!("{}-{word}", self.refusal))
    }
}

/// What the port answers. Prints its body as text.
#[derive(PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(formatter, "{} {:?} {body}", self.status, self.content_type)
    }
}

impl Answer {
    /// How somebody is answered who is not let in: with a status and nothing else.
    pub fn nothing(status: u16) -> Self {
        Self {
            status,
            content_type: String::new(),
            body: Vec::new(),
        }
    }

    /// Of a whole answer.
    pub async fn of(response: reqwest::Response) -> Self {
        let content_type = response.headers().get("content-type");
        Self {
            status: response.status().as_u16(),
            content_type: content_type.map_or("", |it| it.to_str().unwrap()).into(),
            body: response.bytes().await.unwrap().into(),
        }
    }
}

/// Posts once.
pub async fn post(url: &Url, content_type: &str, body: Vec<u8>) -> Answer {
    let request = client().post(url.clone());
    let sent = request.header("content-type", content_type).body(body);
    Answer::of(sent.send().await.unwrap()).await
}

/// The address of one delivery below its account's.
pub fn address_of(account: &Url, delivery: &str) -> Url {
    let id = delivery.strip_prefix("deliveries/").unwrap();
    format!("{account}/{id}").parse().unwrap()
}

/// The program with one code, which the platform took as the golden files tell.
pub struct Story {
    pub service: Process,
    pub files: Files,
    pub spoken: &'static Spoken,
    /// The account's address for reports.
    pub url: Url,
    /// The code's delivery, which is `SENT`.
    pub name: String,
    _platform: ServerGuard,
}

impl Story {
    /// Starts the program after `change` has had its way with the files. It logs everything.
    pub async fn begin(spoken: &'static Spoken, change: impl FnOnce(&Files)) -> Self {
        let mut platform = Server::new_async().await;
        let mock = platform.mock("POST", Matcher::Any);
        let mock = mock.with_body(spoken.golden("answer-1000"));
        mock.create_async().await;
        let files = Files::write(&format!("{}/SrvConexion", platform.url()));
        speak(&files, spoken.protocol);
        change(&files);
        let mut command = serve(&files);
        command.env(clave_otp::telemetry::logs::FILTER_VARIABLE, "trace");
        let service = Process::run(command).await;
        let name = service.create(request()).await.unwrap().name;
        let sent = service.until(&name, DeliveryState::Sent).await;
        assert_eq!(sent.gateway_message_id, MESSAGE_ID);
        let url = service.report_url("madrid-mn").await;
        Self {
            service,
            files,
            spoken,
            url,
            name,
            _platform: platform,
        }
    }

    /// Posts to the account's address, as the platform does.
    pub async fn tell(&self, body: Vec<u8>) -> Answer {
        post(&self.url, self.spoken.media_type, body).await
    }

    /// All that the port may change of the delivery.
    pub async fn seen(&self) -> (Delivery, Vec<Change>) {
        let delivery = self.service.get(&self.name).await.unwrap();
        (delivery, changes(&self.files, &self.name))
    }

    /// The report that the golden files have of it is taken as ever.
    pub async fn takes_the_next_report(&self) {
        let answer = self.tell(self.spoken.golden("callback-delivered")).await;
        assert_eq!(answer, self.spoken.report_taken());
        let delivery = self.service.get(&self.name).await.unwrap();
        assert_eq!(delivery.state(), DeliveryState::Delivered);
        assert_eq!(self.reports("settled"), 1);
    }

    /// How often the port took something with this effect.
    pub fn reports(&self, effect: &str) -> u64 {
        reports(&self.service, "madrid-mn", effect)
    }

    /// How often the port refused something because of this problem.
    pub fn refusals(&self, problem: &str) -> u64 {
        refusals(&self.service, "madrid-mn", problem)
    }
}

/// How often the port took something of this account with this effect.
pub fn reports(service: &Process, account: &str, effect: &str) -> u64 {
    let labels = format!("{{account=\"{account}\",effect=\"{effect}\"}}");
    service.metric(&format!("clave_otp_reports_total{labels}"))
}

/// How often the port refused something of this account because of this problem.
pub fn refusals(service: &Process, account: &str, problem: &str) -> u64 {
    let labels = format!("{{account=\"{account}\",problem=\"{problem}\"}}");
    let name = "clave_otp_report_requests_refused_total";
    service.metric(&format!("{name}{labels}"))
}

/// An entry of the log of changes: the state, its reason, and the platform's code.
pub type Change = (DeliveryState, Option<String>, Option<i64>);

/// Every change of a delivery, in order, as it is on the disk.
pub fn changes(files: &Files, name: &str) -> Vec<Change> {
    let database = rusqlite::Connection::open(files.path("data/clave-otp.db")).unwrap();
    let mut statement = database
        .prepare(
            "SELECT c.state, c.reason, c.gateway_code FROM changes c JOIN deliveries d ON d.seq = c.delivery \
             WHERE d.id = ?1 ORDER BY c.seq",
        )
        .unwrap();
    let id = DeliveryId::parse_name(name).unwrap();
    let rows = statement.query_map([id.as_bytes()], |row| {
        // The numbers are the same on the wire and in the store.
        let state = DeliveryState::try_from(row.get::<_, i32>(0)?).unwrap();
        Ok((state, row.get(1)?, row.get(2)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// How many reports the store keeps.
pub fn kept_reports(files: &Files) -> u32 {
    let database = rusqlite::Connection::open(files.path("data/clave-otp.db")).unwrap();
    let count = database.query_row("SELECT count(*) FROM reports", [], |row| row.get(0));
    count.unwrap()
}
