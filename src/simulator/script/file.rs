//! Reads a [`Script`] from TOML; `docs/samples/simulator-script.toml` shows every key.
//!
//! Must not know: how a script is played.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::Path,
    time::Duration,
};

use config::{Config, File, FileFormat};
use serde::Deserialize;
use thiserror::Error;

use super::{Action, Match, Script, report::ReportText};
use crate::simulator::{
    codes::{Codes, SubmitCodes},
    mensatek::{AnswerShape, Callback, CallbackForm, MensatekRules},
    record::WirePhone,
    reports::{ReportPolicy, ReportStep},
    wishes::ReportUrl,
};

/// Largest answer that a script may ask for, in megabytes.
const MOST_MEGABYTES: u32 = 1_000;

/// Most tries of a report, and most times that it is sent on purpose.
pub(super) const MOST_TRIES: u32 = 100;

/// Why a text is not a script.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// Not TOML; says where.
    #[error("is not TOML: {0}")]
    NotToml(config::ConfigError),
    /// An unknown key or a value of the wrong kind.
    #[error("{path}: {problem}")]
    Key {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A value outside its range; names the rule, counted from 1.
    #[error("rule {rule}: {problem}")]
    Rule {
        /// Which rule.
        rule: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value of `[reports]` outside its range.
    #[error("reports: {0}")]
    Reports(&'static str),
    /// A value of `[callback]` that cannot be.
    #[error("callback: {0}")]
    Callback(&'static str),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ScriptText {
    latency: TimeText,
    codes: Codes,
    submit_codes: SubmitCodes,
    most_parallel_requests: Option<NonZeroUsize>,
    reports: ReportsText,
    mensatek: MensatekRules,
    callback: Option<CallbackText>,
    rules: Vec<RuleText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeText {
    milliseconds: u64,
}

impl TimeText {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ReportsText {
    tries: Option<NonZeroU32>,
    pause: Option<TimeText>,
    basic: Option<BasicText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicText {
    user: String,
    password: String,
}

/// Where callbacks of Mensatek go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallbackText {
    url: String,
    #[serde(default)]
    form: CallbackForm,
    basic: Option<BasicText>,
}

impl CallbackText {
    fn into_callback(self) -> Result<Callback, &'static str> {
        let url = ReportUrl::parse(&self.url).ok_or("url is no http address")?;
        let callback = Callback::new(url, self.form);
        Ok(match self.basic {
            None => callback,
            Some(BasicText { user, password }) => callback.basic(&user, password.into()),
        })
    }
}

impl ReportsText {
    fn into_policy(self) -> Result<ReportPolicy, &'static str> {
        let mut policy = ReportPolicy::default();
        if let Some(tries) = self.tries {
            if tries.get() > MOST_TRIES {
                return Err("a report is tried at most 100 times");
            }
            policy = policy.tries(tries.get());
        }
        if let Some(pause) = self.pause {
            policy = policy.pause(pause.duration());
        }
        if let Some(BasicText { user, password }) = self.basic {
            policy = policy.basic(&user, password.into());
        }
        Ok(policy)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    phone: Option<String>,
    login: Option<String>,
    function: Option<String>,
    request: Option<NonZeroU64>,
    every: Option<NonZeroU64>,
    times: Option<NonZeroU64>,
    action: ActionText,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ActionText {
    Accept,
    Code(i32),
    Delay {
        milliseconds: u64,
    },
    BareInt(i32),
    Fault {
        code: i32,
        text: String,
    },
    DropBeforeReading,
    DropAfterReading,
    PartialAnswer,
    TooShort,
    TooLong,
    WrongType,
    MalformedXml,
    HtmlPage,
    HttpStatus {
        status: u16,
        retry_after_seconds: Option<u64>,
    },
    Flood {
        megabytes: u32,
    },
    SlowDrip {
        milliseconds: u64,
    },
    NoMessageId,
    Shapes(Vec<AnswerShape>),
    Report(ReportText),
    Reports(Vec<ReportText>),
    NoReport,
    ReportBeforeAnswer,
    ReportToDeadUrl,
}

impl Script {
    /// Reads a script from a file.
    pub fn from_file(path: &Path) -> Result<Self, ScriptError> {
        let toml = std::fs::read_to_string(path).map_err(ScriptError::Unreadable)?;
        Self::from_toml(&toml)
    }

    /// Reads a script from the text of a file.
    pub fn from_toml(toml: &str) -> Result<Self, ScriptError> {
        let tree = Config::builder()
            .add_source(File::from_str(toml, FileFormat::Toml))
            .build()
            .map_err(ScriptError::NotToml)?;
        let text: ScriptText =
            serde_path_to_error::deserialize(tree).map_err(|error| ScriptError::Key {
                path: error.path().to_string(),
                problem: error.into_inner().to_string(),
            })?;
        let mut script = Self::new()
            .latency(text.latency.duration())
            .codes(text.codes)
            .submit_codes(text.submit_codes)
            .mensatek(text.mensatek)
            .report_policy(text.reports.into_policy().map_err(ScriptError::Reports)?);
        if let Some(callback) = text.callback {
            script = script.callback(callback.into_callback().map_err(ScriptError::Callback)?);
        }
        if let Some(most) = text.most_parallel_requests {
            script = script.most_parallel_requests(most.get());
        }
        for (index, rule) in text.rules.into_iter().enumerate() {
            let rule_error = |problem| ScriptError::Rule {
                rule: index + 1,
                problem,
            };
            let (matches, action) = rule.into_parts().map_err(rule_error)?;
            script = script.on(matches, action);
        }
        match script.first_undecidable_rule() {
            None => Ok(script),
            Some(index) => Err(ScriptError::Rule {
                rule: index + 1,
                problem: "drop_before_reading cannot ask for phone or login, which stand in the body",
            }),
        }
    }
}

impl RuleText {
    fn into_parts(self) -> Result<(Match, Action), &'static str> {
        let matches = Match {
            phone: self.phone.as_deref().map(WirePhone::new),
            login: self.login,
            function: self.function,
            request: self.request.map(NonZeroU64::get),
            every: self.every.map(NonZeroU64::get),
            times: self.times.map(NonZeroU64::get),
        };
        Ok((matches, self.action.into_action()?))
    }
}

impl ActionText {
    fn into_action(self) -> Result<Action, &'static str> {
        Ok(match self {
            Self::Accept => Action::Accept,
            Self::Code(code) => Action::Code(code),
            Self::Delay { milliseconds } => Action::Delay(Duration::from_millis(milliseconds)),
            Self::BareInt(code) => Action::BareInt(code),
            Self::Fault { code, text } => Action::Fault { code, text },
            Self::DropBeforeReading => Action::DropBeforeReading,
            Self::DropAfterReading => Action::DropAfterReading,
            Self::PartialAnswer => Action::PartialAnswer,
            Self::TooShort => Action::TooShort,
            Self::TooLong => Action::TooLong,
            Self::WrongType => Action::WrongType,
            Self::MalformedXml => Action::MalformedXml,
            Self::HtmlPage => Action::HtmlPage,
            Self::HttpStatus {
                status,
                retry_after_seconds,
            } => {
                if !(400..=599).contains(&status) {
                    return Err("http_status is 400 to 599");
                }
                Action::HttpStatus {
                    status,
                    retry_after: retry_after_seconds.map(Duration::from_secs),
                }
            }
            Self::Flood { megabytes } => {
                if megabytes > MOST_MEGABYTES {
                    return Err("flood is at most 1000 megabytes");
                }
                Action::Flood { megabytes }
            }
            Self::SlowDrip { milliseconds } => Action::SlowDrip {
                pause: Duration::from_millis(milliseconds),
            },
            Self::NoMessageId => Action::NoMessageId,
            Self::Shapes(shapes) => Action::Shapes(shapes),
            Self::Report(report) => Action::Reports(vec![report.into_step()?]),
            Self::Reports(reports) => {
                let steps = reports.into_iter().map(ReportText::into_step);
                Action::Reports(steps.collect::<Result<_, _>>()?)
            }
            Self::NoReport => Action::NoReport,
            Self::ReportBeforeAnswer => {
                Action::Reports(vec![ReportStep::delivered().before_answer()])
            }
            Self::ReportToDeadUrl => {
                Action::Reports(vec![ReportStep::delivered().to_closed_port()])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_platform_on_its_best_day() {
        assert!(Script::from_toml("").is_ok());
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (toml, told) in [
            ("rules = 3 3", "is not TOML"),
            ("[latency]\nseconds = 3", "latency"),
            ("colour = 1", "colour"),
            ("[codes]\nwrong_colour = 1", "wrong_colour"),
            ("[[rules]]\naction = \"explode\"", "explode"),
            ("[[rules]]\nphone = \"600000001\"", "action"),
            ("[[rules]]\naction = { delay = { seconds = 3 } }", "seconds"),
            ("[[rules]]\nrequest = 0\naction = \"accept\"", "rules"),
            (
                "[[rules]]\naction = { http_status = { status = 200 } }",
                "rule 1: http_status",
            ),
            (
                "[[rules]]\naction = { flood = { megabytes = 5000 } }",
                "rule 1: flood",
            ),
            ("[submit_codes]\nwrong_colour = 1", "wrong_colour"),
            ("[mensatek]\nwrong_colour = 1", "wrong_colour"),
            ("[callback]\nurl = \"here\"", "callback: url"),
            (
                "[callback]\nurl = \"http://127.0.0.1/\"\nform = \"xml\"",
                "callback.form",
            ),
            (
                "[[rules]]\naction = { report = { event = 14 } }",
                "rule 1: an event",
            ),
            ("[[rules]]\naction = { shapes = [\"round\"] }", "round"),
            ("most_parallel_requests = 0", "most_parallel_requests"),
            ("[reports]\ntries = 101", "reports: a report is tried"),
            ("[reports]\nbasic = { user = \"a\" }", "password"),
            (
                "[[rules]]\naction = { report = { times = 101 } }",
                "rule 1: a report is sent",
            ),
            (
                "[[rules]]\naction = { report = { recipient_form = \"+35\" } }",
                "+35",
            ),
            (
                "[[rules]]\naction = \"accept\"\n[[rules]]\nlogin = \"a\"\naction = \"drop_before_reading\"",
                "rule 2: drop_before_reading",
            ),
        ] {
            let error = Script::from_toml(toml).unwrap_err().to_string();
            assert!(error.contains(told), "{toml:?} told {error:?}");
        }
    }
}
