//! What it costs to compose a text and to parse a number, each beside a plain piece of code that does a part of the same.
//!
//! `docs/PERFORMANCE.md` tells how to run it and what it said. A case and its yardstick take turns in each round; only the
//! ratios of one round mean something on a machine that does other things too.

#![allow(
    clippy::disallowed_methods,
    reason = "a measurement reads the clock of the machine itself"
)]

mod harness;

use std::{
    hint::black_box,
    str::FromStr as _,
    time::{Duration, Instant},
};

use clap::Parser;
use clave_otp::{
    domain::{Language, OneTimeCode, OriginHost, Purpose, Recipient},
    text::{TextRequest, TextRules, Texts, measure, transliterate},
};
use rlibphonenumber::PhoneNumber;
use unicode_normalization::UnicodeNormalization as _;

use harness::{Figures, print_table, short};

/// Text composition and number parsing, each beside a yardstick.
#[derive(Debug, Parser)]
#[command(name = "text_and_number")]
struct Arguments {
    /// Rounds; a case and its yardstick take turns in each.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// How long one turn takes, in milliseconds.
    #[arg(long, default_value_t = 10)]
    turn_ms: u64,
    /// A smoke run of a second; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

const CODE: &str = "748291";
const MINUTES: u32 = 10;

/// How a case is measured.
#[derive(Clone, Copy)]
struct Watch {
    rounds: usize,
    turn: Duration,
}

impl Watch {
    /// A row of a table: the case, its time, its yardstick's time, and their ratio.
    fn row<T, Y>(
        self,
        name: &str,
        mut case: impl FnMut() -> T,
        mut yardstick: impl FnMut() -> Y,
    ) -> Vec<String> {
        let case_times = self.times_in_a_turn(&mut case);
        let yardstick_times = self.times_in_a_turn(&mut yardstick);
        let (mut of_case, mut of_yardstick) = (Figures::default(), Figures::default());
        for _ in 0..self.rounds {
            of_case.push(nanoseconds_each(case_times, &mut case));
            of_yardstick.push(nanoseconds_each(yardstick_times, &mut yardstick));
        }
        vec![
            name.to_owned(),
            short(of_case.median()),
            short(of_yardstick.median()),
            of_case.over(&of_yardstick).spread(),
        ]
    }

    /// How many repetitions fill a turn; finding out is the warm-up.
    fn times_in_a_turn<T>(self, work: &mut impl FnMut() -> T) -> u32 {
        // The first call may set tables up; it must not pass for a turn.
        repeat(100, work);
        let mut times = 1;
        loop {
            let took = nanoseconds_each(times, work) * f64::from(times);
            if took >= self.turn.as_secs_f64() * 1e9 || times > u32::MAX / 2 {
                return times;
            }
            times *= 2;
        }
    }
}

fn repeat<T>(times: u32, work: &mut impl FnMut() -> T) {
    for _ in 0..times {
        black_box(work());
    }
}

fn nanoseconds_each<T>(times: u32, work: &mut impl FnMut() -> T) -> f64 {
    let begin = Instant::now();
    repeat(times, work);
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

fn main() {
    let arguments = Arguments::parse();
    let watch = if arguments.quick {
        Watch {
            rounds: 3,
            turn: Duration::from_millis(1),
        }
    } else {
        Watch {
            rounds: arguments.rounds.max(1),
            turn: Duration::from_millis(arguments.turn_ms),
        }
    };
    println!(
        "\n{} rounds; median nanoseconds for one, median ratio (least–greatest)\n",
        watch.rounds
    );
    print_table(&compose_by_language(watch));
    print_table(&compose_by_purpose(watch));
    print_table(&parts_of_a_text(watch));
    print_table(&numbers(watch));
}

fn head(case: &str, yardstick: &str) -> Vec<String> {
    [case, "ns", yardstick, "ratio"].map(str::to_owned).to_vec()
}

fn ask<'a>(
    code: &'a OneTimeCode,
    purpose: Purpose,
    language: Language,
    origin: Option<&'a OriginHost>,
) -> TextRequest<'a> {
    TextRequest {
        purpose,
        language: Some(language.tag()),
        default_language: Language::Es,
        code,
        minutes: MINUTES,
        origin,
        rules: TextRules::default(),
    }
}

/// A composed text taken apart at code and minutes, so that `format!` can write the same again.
struct Pieces {
    before: String,
    between: String,
    after: String,
}

impl Pieces {
    fn of(text: &str) -> Self {
        let (before, rest) = text.split_once(CODE).expect("the code is in the text");
        let minutes = MINUTES.to_string();
        // Texts that do not name the minutes have their code alone.
        let (between, after) = rest.split_once(&minutes).unwrap_or((rest, ""));
        Self {
            before: before.to_owned(),
            between: between.to_owned(),
            after: after.to_owned(),
        }
    }

    fn write(&self) -> String {
        let (code, minutes) = (black_box(CODE), black_box(MINUTES));
        let Self {
            before,
            between,
            after,
        } = self;
        format!("{before}{code}{between}{minutes}{after}")
    }
}

/// Composes the texts of these requests one after the other, beside `format!` of the same texts.
fn compose_row(watch: Watch, name: &str, requests: &[TextRequest<'_>]) -> Vec<String> {
    let texts = Texts::builtin();
    let compose = |request| texts.compose(request).expect("built-in texts fit");
    let pieces: Vec<Pieces> = requests
        .iter()
        .map(|request| Pieces::of(compose(request).text.expose()))
        .collect();
    let mut asked = requests.iter().cycle();
    let mut written = pieces.iter().cycle();
    watch.row(
        name,
        || asked.next().map(|request| compose(black_box(request))),
        || written.next().map(Pieces::write),
    )
}

fn compose_by_language(watch: Watch) -> Vec<Vec<String>> {
    let code = OneTimeCode::parse(CODE.into()).expect("a well-formed code");
    let mut rows = vec![head("compose, every purpose in", "format!")];
    for language in Language::ALL {
        let requests = Purpose::ALL.map(|purpose| ask(&code, purpose, language, None));
        rows.push(compose_row(watch, language.tag(), &requests));
    }
    rows
}

fn compose_by_purpose(watch: Watch) -> Vec<Vec<String>> {
    let code = OneTimeCode::parse(CODE.into()).expect("a well-formed code");
    let origin = OriginHost::parse("clave.gob.es").expect("a well-formed host");
    let mut rows = vec![head("compose, every language for", "format!")];
    for purpose in Purpose::ALL {
        let requests = Language::ALL.map(|language| ask(&code, purpose, language, None));
        rows.push(compose_row(watch, purpose.as_str(), &requests));
    }
    let bound = Language::ALL.map(|language| ask(&code, Purpose::Login, language, Some(&origin)));
    rows.push(compose_row(watch, "LOGIN with origin", &bound));
    rows
}

fn parts_of_a_text(watch: Watch) -> Vec<Vec<String>> {
    let ours = "Cl@ve: su codigo es 748291. Caduca en 10 minutos. No lo comparta con nadie.";
    let catalan =
        "Cl@ve: el vostre codi és 748291. Caduca d'aquí a 10 minuts. Intel·ligència, això sí…";
    let unicode = "Cl@ve: su código es 748291 日. Caduca en 10 minutos. No lo comparta.";
    let full = "a".repeat(160);
    let mut rows = vec![head("measure", "chars().count()")];
    for (name, text) in [
        ("GSM, 75 septets", ours),
        ("GSM, 160 septets", full.as_str()),
        ("UCS-2, 67 units", unicode),
    ] {
        rows.push(watch.row(
            name,
            || measure(black_box(text)),
            || black_box(text).chars().count(),
        ));
    }
    rows.push(head("transliterate", "nfc().collect()"));
    for (name, text) in [
        ("nothing to replace", ours),
        ("Catalan", catalan),
        ("one unrepresentable", unicode),
    ] {
        rows.push(watch.row(
            name,
            || transliterate(black_box(text)),
            || black_box(text).nfc().collect::<String>(),
        ));
    }
    rows
}

/// The least that could be asked of a number: a plus and digits.
fn looks_like_a_number(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn numbers(watch: Watch) -> Vec<Vec<String>> {
    let cases = [
        ("national", "+34600000001"),
        ("foreign", "+351912345678"),
        ("no such number", "+34752345678"),
        ("not mobile", "+34510123456"),
        ("not E.164", "612345678"),
        ("not a number", "not a number"),
    ];
    let mut rows = vec![head("Recipient::parse", "rlibphonenumber parse alone")];
    for (name, text) in cases {
        rows.push(watch.row(
            name,
            || Recipient::parse(black_box(text)),
            || PhoneNumber::from_str(black_box(text)),
        ));
    }
    rows.push(head("Recipient::parse", "plus and digits alone"));
    for (name, text) in cases {
        rows.push(watch.row(
            name,
            || Recipient::parse(black_box(text)),
            || looks_like_a_number(black_box(text)),
        ));
    }
    rows.push(head("Recipient::masked", "Recipient::parse"));
    for (name, text) in &cases[..2] {
        let recipient = Recipient::parse(text).expect("a mobile number");
        rows.push(watch.row(
            name,
            || black_box(&recipient).masked(),
            || Recipient::parse(black_box(text)),
        ));
    }
    rows
}
