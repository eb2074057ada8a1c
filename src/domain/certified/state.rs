//! The platform's states of a message or contract: one table of their numbers.
//!
//! Source: the text of API 7.0 (confidence A) and, for rows that say so, clients in production (confidence B).

use crate::domain::{News, Reason};

/// A state as the platform numbers it; every number is kept, known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlatformState(i64);

/// How far a message has come. A later stage is never taken back by an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Says nothing about that.
    Silent,
    /// Not delivered yet.
    Waiting,
    /// It will not arrive.
    Failed,
    /// The handset has it.
    Delivered,
    /// A contract's answer is awaited, or its document has been opened.
    Opened,
    /// The document has been read to its end, or the answer has come.
    Read,
    /// Accepted.
    Accepted,
    /// Signed; not certified yet.
    Signed,
    /// Certified: the certificate may be downloaded. Or refused, or run out: nothing more comes.
    Closed,
}

/// What a row says about a message's delivery.
#[derive(Debug, Clone, Copy)]
enum Says {
    Waiting,
    Delivered(Stage),
    Failed(&'static str),
    Silent,
    /// A contract that ran out: nobody knows whether it was seen.
    RanOut,
}

use Says::{Delivered, Failed, RanOut, Silent, Waiting};

/// The number does not exist, or is written wrongly.
const NUMBER_UNKNOWN: &str = "REPORTED_NUMBER_UNKNOWN";
/// The number exists no more, or has no service.
const NUMBER_NOT_IN_SERVICE: &str = "REPORTED_NUMBER_NOT_IN_SERVICE";
/// The operator, the platform or the account blocks the number.
const NUMBER_BLOCKED: &str = "REPORTED_NUMBER_BLOCKED";
/// The handset could not take it.
const HANDSET_FAILED: &str = "REPORTED_HANDSET_FAILED";
/// A network failed.
const NETWORK_FAILED: &str = "REPORTED_NETWORK_FAILED";
/// Somebody cancelled it on the platform.
const CANCELLED: &str = "REPORTED_CANCELLED";

const EXPIRED: &str = Reason::REPORTED_EXPIRED;
const REJECTED: &str = Reason::REPORTED_REJECTED;

/// The platform's words that stand beside several numbers.
const AWAITING: &str = "Esperando entrega";
const GONE: &str = "El mensaje ha expirado";
const NO_SUCH_PHONE: &str = "El teléfono no existe";
const CLOSED_DOWN: &str = "Teléfono dado de baja";
const NO_SERVICE: &str = "Teléfono sin servicio";
const UNTIMED: &str = "Entregado al teléfono. Tiempo de entrega no disponible";
const CENTRE_FAILED: &str = "Fallo en el SMSC destino";
const ASK_SUPPORT: &str = "Error de destino, contacte con soporte";
const HANDSET_AGAIN: &str = "Problema en el móvil destino. Reintentando";
const BLOCKED: &str = "Número bloqueado";

/// Every state with a meaning: first and last number of a row, what it says, and the platform's own words in short.
const STATES: [(i64, i64, Says, &str); 55] = [
    (0, 0, Waiting, AWAITING),
    (1, 1, Waiting, "Programado"),
    (2, 2, Waiting, AWAITING),
    (10, 10, Waiting, AWAITING),
    // Not in the text, and the commonest of all (B).
    (11, 11, Delivered(Stage::Delivered), "Entregado"),
    // Not in the text (B).
    (12, 12, Waiting, AWAITING),
    (13, 13, Delivered(Stage::Delivered), "Entregado al teléfono"),
    (
        14,
        14,
        Delivered(Stage::Closed),
        "SMS Certificado entregado y certificado",
    ),
    // A contract by answer: the message has been delivered, its answer is awaited, has come, is certified.
    (15, 15, Delivered(Stage::Opened), "Esperando respuesta"),
    (
        16,
        16,
        Delivered(Stage::Read),
        "Respuesta recibida. Certificando",
    ),
    (
        17,
        17,
        Delivered(Stage::Closed),
        "SMS Contrato mediante respuesta certificado",
    ),
    // Fatal (B); the text does not have them.
    (22, 28, Failed(REJECTED), "Fallido"),
    (29, 29, Failed(CANCELLED), "Cancelado"),
    // Not in the text (B).
    (31, 31, Waiting, AWAITING),
    (
        50,
        50,
        Failed(NUMBER_UNKNOWN),
        "La red responde que el teléfono no existe",
    ),
    (
        51,
        51,
        Failed(HANDSET_FAILED),
        "Falló la entrega al teléfono",
    ),
    (52, 52, Failed(NETWORK_FAILED), "Falló la entrega a la red"),
    (53, 53, Failed(EXPIRED), GONE),
    (54, 54, Failed(NUMBER_BLOCKED), "Número en lista negra"),
    (55, 55, Failed(NUMBER_BLOCKED), BLOCKED),
    (70, 70, Delivered(Stage::Delivered), UNTIMED),
    (101, 101, Failed(EXPIRED), GONE),
    (
        102,
        102,
        Failed(NUMBER_NOT_IN_SERVICE),
        "Usuario dado de baja",
    ),
    (103, 103, Failed(EXPIRED), GONE),
    (
        104,
        104,
        Failed(NUMBER_UNKNOWN),
        "El teléfono no es correcto",
    ),
    (106, 106, Delivered(Stage::Delivered), UNTIMED),
    (110, 110, Failed(NUMBER_UNKNOWN), NO_SUCH_PHONE),
    (111, 111, Failed(NUMBER_NOT_IN_SERVICE), CLOSED_DOWN),
    (112, 112, Failed(NUMBER_NOT_IN_SERVICE), NO_SERVICE),
    (113, 113, Failed(EXPIRED), GONE),
    // The operator's centre fails or is congested: the platform keeps trying.
    (120, 122, Waiting, CENTRE_FAILED),
    (
        130,
        130,
        Failed(NUMBER_NOT_IN_SERVICE),
        "Error en el teléfono destino",
    ),
    // Memory full; cannot receive. Repeated failures, and not said to be tried again, unlike 134 and 135.
    (
        131,
        131,
        Failed(HANDSET_FAILED),
        "El móvil ha excedido la capacidad de memoria",
    ),
    (
        132,
        132,
        Failed(HANDSET_FAILED),
        "El móvil no puede recibir mensajes",
    ),
    (
        133,
        133,
        Failed(NUMBER_NOT_IN_SERVICE),
        "Fallo en móvil destino (dado de baja)",
    ),
    (134, 134, Waiting, HANDSET_AGAIN),
    (
        135,
        135,
        Waiting,
        "Problema en la red destino. Reintentando",
    ),
    (136, 136, Failed(NUMBER_NOT_IN_SERVICE), NO_SERVICE),
    (137, 137, Failed(NUMBER_NOT_IN_SERVICE), CLOSED_DOWN),
    (140, 141, Failed(NETWORK_FAILED), ASK_SUPPORT),
    (
        150,
        150,
        Failed(NETWORK_FAILED),
        "La red de destino ha cerrado temporalmente la entrega",
    ),
    // The contract behind the message was opened, read, accepted, signed: whoever did that has the message.
    (
        160,
        160,
        Delivered(Stage::Opened),
        "El usuario ha accedido al contrato",
    ),
    (161, 161, Delivered(Stage::Read), "Contrato leído"),
    (162, 162, Delivered(Stage::Accepted), "Contrato aceptado"),
    (163, 163, Delivered(Stage::Signed), "Contrato firmado"),
    (
        180,
        180,
        Delivered(Stage::Closed),
        "Estado final. Contrato aceptado por aceptación básica",
    ),
    (
        181,
        181,
        Delivered(Stage::Closed),
        "Estado final. Contrato aceptado y firmado con firma biométrica",
    ),
    // Refused by its reader.
    (190, 190, Delivered(Stage::Closed), "Contrato rechazado"),
    (195, 195, RanOut, "Contrato expirado"),
    // Refused by the operator (B).
    (200, 200, Failed(REJECTED), "Rechazado por la operadora"),
    // Voice calls (B).
    (500, 553, Silent, "Llamada de voz"),
    (1000, 1000, Waiting, AWAITING),
    (1001, 1001, Waiting, "Programado"),
    (1002, 1002, Waiting, "Enviando"),
    (1003, 1003, Waiting, HANDSET_AGAIN),
];

/// Known, and said nothing more of: 999 and the voice calls 1004 to 1010 (B); 5000 tells where a contract was signed.
const OTHERS: [(i64, i64, &str); 3] = [
    (999, 999, "Sin información"),
    (1004, 1010, "Llamada de voz"),
    (5000, 5000, "Localización GPS del firmante"),
];

impl PlatformState {
    /// The state of that number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        self.0
    }

    fn row(self) -> Option<(Says, &'static str)> {
        let covers = |first: i64, last: i64| (first..=last).contains(&self.0);
        let row = STATES.iter().find(|row| covers(row.0, row.1));
        let other = || OTHERS.iter().find(|row| covers(row.0, row.1));
        row.map(|row| (row.2, row.3))
            .or_else(|| other().map(|row| (Silent, row.2)))
    }

    /// What it says about whether the SMS arrives; a state that is not known says nothing.
    pub fn news(self) -> News {
        match self.row() {
            Some((Delivered(_), _)) => News::Delivered,
            Some((Waiting, _)) => News::Waiting,
            Some((Failed(word), _)) => News::Failed(Reason::known(word)),
            Some((Silent | RanOut, _)) | None => News::Unknown,
        }
    }

    /// How far the message has come.
    pub fn stage(self) -> Stage {
        match self.row() {
            Some((Delivered(stage), _)) => stage,
            Some((Waiting, _)) => Stage::Waiting,
            Some((Failed(_), _)) => Stage::Failed,
            Some((RanOut, _)) => Stage::Closed,
            Some((Silent, _)) | None => Stage::Silent,
        }
    }

    /// What it means, in the platform's own words (Spanish); `None` for a number that is not known.
    pub fn meaning(self) -> Option<&'static str> {
        self.row().map(|(_, words)| words)
    }

    /// Whether nothing more can come.
    pub fn is_final(self) -> bool {
        matches!(self.stage(), Stage::Failed | Stage::Closed)
    }

    /// Whether a certificate may be downloaded: the text names 14, 17, 160 and 181, and 180 by its own row.
    pub fn has_certificate(self) -> bool {
        matches!(self.0, 14 | 17 | 160 | 180 | 181)
    }

    /// Whether it takes the place of `known`: it must tell something, and nothing that was reached is taken back. What the
    /// handset has is not believed to have failed.
    pub fn replaces(self, known: Self) -> bool {
        let (new, old) = (self.stage(), known.stage());
        new != Stage::Silent && new >= old && self != known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: i64) -> PlatformState {
        PlatformState::new(number)
    }

    #[test]
    fn the_rows_are_in_order_and_none_hides_another() {
        for pair in STATES.windows(2) {
            assert!(
                pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0,
                "{}",
                pair[1].0
            );
        }
        for (first, last, _) in OTHERS {
            for number in first..=last {
                assert!(!STATES.iter().any(|row| (row.0..=row.1).contains(&number)));
            }
        }
    }

    /// The lists of the text and of the facts beside it, written anew.
    #[test]
    fn every_state_has_its_meaning() {
        let delivered = [
            11, 13, 14, 15, 16, 17, 70, 106, 160, 161, 162, 163, 180, 181, 190,
        ];
        let waiting = [
            0, 1, 2, 10, 12, 31, 120, 121, 122, 134, 135, 1000, 1001, 1002, 1003,
        ];
        let failed = [
            (22, "REPORTED_REJECTED"),
            (28, "REPORTED_REJECTED"),
            (29, "REPORTED_CANCELLED"),
            (50, "REPORTED_NUMBER_UNKNOWN"),
            (51, "REPORTED_HANDSET_FAILED"),
            (52, "REPORTED_NETWORK_FAILED"),
            (53, "REPORTED_EXPIRED"),
            (54, "REPORTED_NUMBER_BLOCKED"),
            (55, "REPORTED_NUMBER_BLOCKED"),
            (101, "REPORTED_EXPIRED"),
            (102, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (103, "REPORTED_EXPIRED"),
            (104, "REPORTED_NUMBER_UNKNOWN"),
            (110, "REPORTED_NUMBER_UNKNOWN"),
            (111, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (112, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (113, "REPORTED_EXPIRED"),
            (130, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (131, "REPORTED_HANDSET_FAILED"),
            (132, "REPORTED_HANDSET_FAILED"),
            (133, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (136, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (137, "REPORTED_NUMBER_NOT_IN_SERVICE"),
            (140, "REPORTED_NETWORK_FAILED"),
            (141, "REPORTED_NETWORK_FAILED"),
            (150, "REPORTED_NETWORK_FAILED"),
            (200, "REPORTED_REJECTED"),
        ];
        for number in delivered {
            assert_eq!(state(number).news(), News::Delivered, "{number}");
        }
        for number in waiting {
            assert_eq!(state(number).news(), News::Waiting, "{number}");
            assert_eq!(state(number).stage(), Stage::Waiting, "{number}");
        }
        for (number, word) in failed {
            let reason = Reason::known(word);
            assert_eq!(state(number).news(), News::Failed(reason), "{number}");
            assert!(state(number).is_final());
        }
        for number in [195, 500, 553, 999, 1004, 1010, 5000] {
            assert_eq!(state(number).news(), News::Unknown, "{number}");
            assert!(state(number).meaning().is_some(), "{number}");
        }
        let rejected = 22..=28;
        let mut known: Vec<i64> = delivered
            .into_iter()
            .chain(waiting)
            .chain(rejected)
            .collect();
        known.extend(failed.map(|(number, _)| number));
        for number in (-10..6000).chain([i64::MIN, i64::MAX]) {
            let is_known = known.contains(&number);
            assert_eq!(state(number).news() != News::Unknown, is_known, "{number}");
        }
        for number in [-1, 3, 21, 30, 164, 554, 4999, i64::MAX] {
            assert_eq!(state(number).meaning(), None, "{number}");
            assert_eq!(state(number).stage(), Stage::Silent, "{number}");
        }
        for number in [14, 17, 180, 181, 190, 195] {
            assert!(state(number).is_final(), "{number}");
        }
    }

    #[test]
    fn no_state_takes_back_what_was_reached() {
        for (new, old) in [
            (13, 1),
            (14, 13),
            (160, 13),
            (163, 162),
            (181, 163),
            (51, 2),
            (13, 51),
            (195, 161),
            (11, 3),
        ] {
            assert!(state(new).replaces(state(old)), "{new} over {old}");
            assert!(!state(old).replaces(state(new)), "{old} over {new}");
        }
        // Said twice, or nothing said.
        assert!(!state(13).replaces(state(13)));
        assert!(!state(5000).replaces(state(13)));
        assert!(!state(777).replaces(state(1)));
    }
}
