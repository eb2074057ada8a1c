//! What is read of the figures that the database itself keeps of each sender.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows;
use crate::{
    domain::{AccountId, Alias, Destination, EffectiveSender},
    store::SenderFigures,
};

/// Searches the primary key from its end: the newest row of one sender.
const LAST_USE: &str = "SELECT hour FROM sender_figures \
     WHERE account = ?1 AND effective_sender = ?2 AND destination = ?3 AND sent > 0 ORDER BY hour DESC LIMIT 1";

const FIGURES: &str = "SELECT account, effective_sender, sum(sent), sum(delivered), sum(undelivered) \
     FROM sender_figures INDEXED BY sender_figures_by_hour \
     WHERE hour >= ?1 AND hour < ?2 AND destination = ?3 GROUP BY account, effective_sender";

const SECONDS_IN_HOUR: i64 = 3600;

/// The hour that a moment is in, since 1970.
fn hour_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(SECONDS_IN_HOUR)
}

pub(super) fn last_uses(
    connection: &Connection,
    aliases: &[(AccountId, Alias)],
) -> rusqlite::Result<Vec<Option<Timestamp>>> {
    let mut statement = connection.prepare_cached(LAST_USE)?;
    let mut last_use = |(account, alias): &(AccountId, Alias)| {
        let key = params![
            account.as_str(),
            alias.as_str(),
            Destination::National.as_str()
        ];
        let hour: Option<i64> = statement.query_row(key, |row| row.get(0)).optional()?;
        Ok(hour.and_then(|hour| Timestamp::from_second(hour.saturating_mul(SECONDS_IN_HOUR)).ok()))
    };
    aliases.iter().map(&mut last_use).collect()
}

pub(super) fn figures(
    connection: &Connection,
    from: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<Vec<SenderFigures>> {
    connection
        .prepare_cached(FIGURES)?
        .query_map(
            params![
                hour_of(from),
                hour_of(until),
                Destination::National.as_str()
            ],
            |row| {
                let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok(SenderFigures {
                    account: rows::text(row, 0, |text| AccountId::parse(text).ok())?,
                    sender: rows::text(row, 1, |text| Some(EffectiveSender::from_stored(text)))?,
                    sent: count(2)?,
                    delivered: count(3)?,
                    undelivered: count(4)?,
                })
            },
        )?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DeliveryState;

    const HOUR: i64 = 490_000;

    /// A database with the real schema and one delivery that is being sent.
    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(include_str!("migrations/0001_deliveries.sql"))
            .unwrap();
        connection
    }

    fn micros_of_hour(hour: i64) -> i64 {
        hour * SECONDS_IN_HOUR * 1_000_000
    }

    /// A delivery that is in `state` from the start, as the lanes leave it.
    fn add(connection: &Connection, id: u8, sender: &str, destination: Destination) {
        connection
            .execute(
                "INSERT INTO deliveries (id, caller, request_id, fingerprint, administration, account, state, sender, \
                 effective_sender, destination, region, masked_recipient, recipient_hash, purpose, language, encoding, segments, \
                 create_time, expire_time, update_time) \
                 VALUES (?1, 'c', ?1, x'00', 'a', 'madrid', 2, ?2, ?2, ?3, 'XX', 'm', x'00', 'LOGIN', 'es', 'GSM7', 1, 0, 0, ?4)",
                params![[id; 16], sender, destination.as_str(), micros_of_hour(HOUR)],
            )
            .unwrap();
    }

    /// Moves the delivery as a settlement or a report does.
    fn becomes(connection: &Connection, id: u8, state: DeliveryState, submitted: Option<i64>) {
        let changed = connection
            .execute(
                "UPDATE deliveries SET state = ?2, submit_time = coalesce(?3, submit_time) WHERE id = ?1",
                params![[id; 16], state.to_stored(), submitted.map(micros_of_hour)],
            )
            .unwrap();
        assert_eq!(changed, 1);
    }

    fn at_hour(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * SECONDS_IN_HOUR).unwrap()
    }

    /// Sent, delivered and undelivered of the alias in the hours around.
    fn counted(connection: &Connection) -> (u64, u64, u64) {
        let figures = figures(connection, at_hour(HOUR - 5), at_hour(HOUR + 5)).unwrap();
        figures
            .iter()
            .find(|figures| figures.sender.as_str() == "ClaveMadrid")
            .map_or((0, 0, 0), |found| {
                (found.sent, found.delivered, found.undelivered)
            })
    }

    #[test]
    fn a_delivery_is_counted_once_in_the_hour_of_its_submission() {
        use DeliveryState::{Delivered, Failed, Sent};
        let connection = database();
        for id in 1..=3 {
            add(&connection, id, "ClaveMadrid", Destination::National);
            becomes(&connection, id, Sent, Some(HOUR));
        }
        assert_eq!(counted(&connection), (3, 0, 0));
        becomes(&connection, 1, Delivered, None);
        becomes(&connection, 2, Failed, None);
        // The same again, as a repeated report would.
        becomes(&connection, 1, Delivered, None);
        assert_eq!(counted(&connection), (3, 1, 1));
        let before = figures(&connection, at_hour(HOUR - 5), at_hour(HOUR)).unwrap();
        assert_eq!(before, [], "the hour itself is not before it");
        let itself = figures(&connection, at_hour(HOUR), at_hour(HOUR + 1)).unwrap();
        assert_eq!(itself.len(), 1);
    }

    #[test]
    fn what_only_a_report_tells_was_sent_is_counted_and_what_was_refused_is_not() {
        use DeliveryState::{Accepted, Delivered, Failed, Uncertain};
        let connection = database();
        for id in 1..=4 {
            add(&connection, id, "ClaveMadrid", Destination::National);
        }
        becomes(&connection, 1, Failed, None);
        becomes(&connection, 2, Uncertain, None);
        becomes(&connection, 3, Accepted, None);
        assert_eq!(counted(&connection), (0, 0, 0));
        becomes(&connection, 2, Delivered, None);
        assert_eq!(counted(&connection), (1, 1, 0));
        // A report before the answer: the settlement finds that it was taken and that it failed.
        becomes(&connection, 4, Failed, Some(HOUR));
        assert_eq!(counted(&connection), (2, 1, 1));
    }

    #[test]
    fn an_alias_was_last_used_when_it_last_went_to_a_spanish_number() {
        let connection = database();
        for (id, destination, hour) in [
            (1, Destination::National, HOUR - 2),
            (2, Destination::National, HOUR - 1),
            (3, Destination::International, HOUR),
        ] {
            add(&connection, id, "ClaveMadrid", destination);
            becomes(&connection, id, DeliveryState::Sent, Some(hour));
        }
        let of = |account: &str, alias: &str| {
            (
                AccountId::parse(account).unwrap(),
                Alias::parse(alias).unwrap(),
            )
        };
        let asked = [
            of("madrid", "ClaveMadrid"),
            of("madrid", "claveMadrid"),
            of("sevilla", "ClaveMadrid"),
        ];
        let last = last_uses(&connection, &asked).unwrap();
        assert_eq!(last, [Some(at_hour(HOUR - 1)), None, None]);
    }

    #[test]
    fn both_questions_search_an_index() {
        let connection = database();
        for (statement, index) in [
            (
                LAST_USE,
                "USING PRIMARY KEY (account=? AND effective_sender=? AND destination=?)",
            ),
            (FIGURES, "sender_figures_by_hour (hour>? AND hour<?)"),
        ] {
            let plan: Vec<String> = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
                .unwrap()
                .query_map(params![0, 0, 0], |row| row.get(3))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            assert!(plan.join("; ").contains(index), "{plan:?}");
        }
    }
}
