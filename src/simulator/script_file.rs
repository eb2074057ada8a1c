//! Reads a [`Script`] from TOML; `docs/samples/simulator-script.toml` shows every key.
//!
//! Must not know: how a script is played.

use std::{num::NonZeroU64, path::Path, time::Duration};

use config::{Config, File, FileFormat};
use serde::Deserialize;
use thiserror::Error;

use super::{
    codes::Codes,
    record::WirePhone,
    script::{Action, Match, Script},
};

/// Largest answer that a script may ask for, in megabytes.
const MOST_MEGABYTES: u32 = 1_000;

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
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ScriptText {
    latency: LatencyText,
    codes: Codes,
    rules: Vec<RuleText>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LatencyText {
    milliseconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    phone: Option<String>,
    login: Option<String>,
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
            .latency(Duration::from_millis(text.latency.milliseconds))
            .codes(text.codes);
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
